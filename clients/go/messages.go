// Messages: short ways to write the messages that almost every program needs.

package clientela

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	pb "clientela.dev/clientela/v1"
)

// moneyMax is the largest amount of the contract in millionths.
const moneyMax = 1<<53 - 1

var decimal = regexp.MustCompile(`^(-?)([0-9]+)(?:\.([0-9]{1,6}))?$`)

// Cart returns the target of the cart with this name, for example carts/019a.
func Cart(name string) *pb.CartTarget {
	return &pb.CartTarget{Target: &pb.CartTarget_Cart{Cart: name}}
}

// CustomerCart returns the target of the open cart of a customer, for example customers/ada, in the slot main.
func CustomerCart(customer string) *pb.CartTarget {
	owner := &pb.CartOwner{Owner: &pb.CartOwner_Customer{Customer: customer}}
	return &pb.CartTarget{Target: &pb.CartTarget_Owner{Owner: owner}}
}

// VisitorCart returns the target of the open cart of a visitor in the slot main. The token is the one that the
// storefront gave to the visitor: 16 to 256 characters.
func VisitorCart(token string) *pb.CartTarget {
	owner := &pb.CartOwner{Owner: &pb.CartOwner_Visitor{Visitor: token}}
	return &pb.CartTarget{Target: &pb.CartTarget_Owner{Owner: owner}}
}

// Money returns an amount of a currency: Money("EUR", "11.90") is 11.90 euros. The amount is a decimal number with
// at most six places. Money returns an error if it is anything else, or more than the contract can hold.
func Money(currency, amount string) (*pb.Money, error) {
	parts := decimal.FindStringSubmatch(amount)
	if parts == nil {
		return nil, fmt.Errorf(`amount %q is not a decimal number with at most six places, for example "11.90"`, amount)
	}
	places := parts[3] + strings.Repeat("0", 6-len(parts[3]))
	micros, err := strconv.ParseInt(parts[1]+parts[2]+places, 10, 64)
	if err != nil || micros > moneyMax || micros < -moneyMax {
		return nil, fmt.Errorf("amount %q is too large: at most 9007199254.740991", amount)
	}
	return &pb.Money{CurrencyCode: currency, Micros: micros}, nil
}

// MustMoney is like Money and panics if the amount is invalid. Use it for amounts that are written in the program.
func MustMoney(currency, amount string) *pb.Money {
	money, err := Money(currency, amount)
	if err != nil {
		panic("clientela: " + err.Error())
	}
	return money
}

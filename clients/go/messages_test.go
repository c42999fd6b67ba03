package clientela

import (
	"strings"
	"testing"

	pb "clientela.dev/clientela/v1"
)

func TestATargetNamesACartOrItsOwner(t *testing.T) {
	if got := Cart("carts/a").GetCart(); got != "carts/a" {
		t.Errorf("the cart was %q", got)
	}
	if got := CustomerCart("customers/ada").GetOwner().GetCustomer(); got != "customers/ada" {
		t.Errorf("the customer was %q", got)
	}
	if got := VisitorCart("a-token-of-a-visitor").GetOwner().GetVisitor(); got != "a-token-of-a-visitor" {
		t.Errorf("the visitor was %q", got)
	}
}

func TestMoneyIsExact(t *testing.T) {
	for amount, micros := range map[string]int64{
		"11.90": 11_900_000, "0": 0, "-0.01": -10_000, "13.445378": 13_445_378, "007": 7_000_000,
		"9007199254.740991": moneyMax, "-9007199254.740991": -moneyMax,
	} {
		money, err := Money("EUR", amount)
		if err != nil || money.Micros != micros || money.CurrencyCode != "EUR" {
			t.Errorf("%s was %v, %v", amount, money, err)
		}
	}
}

func TestMoneyThatIsNotADecimalNumberIsRefused(t *testing.T) {
	for _, amount := range []string{"", "11,90", "1.2345678", "1e3", ".5", "1.", "+1", " 1", "1\n", "٣", "9007199254.740992",
		"99999999999999999999"} {
		if money, err := Money("EUR", amount); err == nil || !strings.Contains(err.Error(), "amount") {
			t.Errorf("%q was %v, %v", amount, money, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustMoney did not panic")
		}
	}()
	var _ *pb.Money = MustMoney("EUR", "eleven")
}

// Signs a customer up, adds it to a group, fills a cart, and watches it.
//
//	CLIENTELA_API_KEY=clt_… go run .      an admin key; the server at CLIENTELA_SERVER, or 127.0.0.1:50051
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"clientela.dev/clientela"
	pb "clientela.dev/clientela/v1"
)

// euros returns an amount: millionths of the currency's major unit.
func euros(cents int64) *pb.Money {
	return &pb.Money{CurrencyCode: "EUR", Micros: cents * 10_000}
}

// regulars returns the group, and makes it the first time.
func regulars(ctx context.Context, client *clientela.Client) (*pb.Group, error) {
	wanted := &pb.Group{DisplayNames: map[string]string{"en": "Regulars"}, DiscountPercent: "10"}
	group, err := client.Groups.CreateGroup(ctx, &pb.CreateGroupRequest{Group: wanted, GroupId: "example-regulars"})
	if clientela.HasReason(err, pb.ErrorReason_NAME_TAKEN) {
		return client.Groups.GetGroup(ctx, &pb.GetGroupRequest{Name: "groups/example-regulars"})
	}
	return group, err
}

func run(ctx context.Context) error {
	client, err := clientela.Connect(clientela.Options{Address: os.Getenv("CLIENTELA_SERVER")})
	if err != nil {
		return err
	}
	defer client.Close()

	email := fmt.Sprintf("ada-%x@example.com", time.Now().UnixNano())
	wanted := &pb.CreateCustomerRequest{Customer: &pb.Customer{FirstName: "Ada", LastName: "Lovelace", Email: email}}
	ada, err := client.Customers.CreateCustomer(ctx, wanted)
	if err != nil {
		return err
	}
	fmt.Println("signed up", ada.Name)

	_, err = client.Customers.CreateCustomer(ctx, wanted)
	var refusal *clientela.Error
	if !errors.As(err, &refusal) || refusal.Reason != pb.ErrorReason_EMAIL_TAKEN {
		return fmt.Errorf("the address was taken twice: %w", err)
	}
	fmt.Println("that address belongs to", refusal.Metadata["customer"])

	group, err := regulars(ctx, client)
	if err != nil {
		return err
	}
	_, err = client.Groups.AddMembers(ctx, &pb.AddMembersRequest{Group: group.Name, Members: []string{ada.Name},
		Source: pb.MembershipSource_MEMBERSHIP_SOURCE_STAFF, MakeDefault: true})
	if err != nil {
		return err
	}
	fmt.Println("is in", group.Name, "with", group.DiscountPercent, "% off")

	owner := &pb.CartTarget{Target: &pb.CartTarget_Owner{
		Owner: &pb.CartOwner{Owner: &pb.CartOwner_Customer{Customer: ada.Name}}}}
	cart, err := client.Carts.AddItem(ctx, &pb.AddItemRequest{Target: owner, Item: &pb.ItemInput{Product: "mug", Quantity: 2,
		Price: &pb.ItemPrice{ListPrice: euros(1190), PriceIncludesTax: true, TaxRate: "20"}}})
	if err != nil {
		return err
	}
	fmt.Println(cart.Name, "comes to", float64(cart.Total.Micros)/1e6, cart.Total.CurrencyCode)

	for event, err := range client.WatchCarts(ctx, clientela.Watch{Names: []string{cart.Name}}) {
		if err != nil {
			return err
		}
		switch event := event.(type) {
		case *clientela.Ready[*pb.Cart]:
			// In a shop another program does this.
			target := &pb.CartTarget{Target: &pb.CartTarget_Cart{Cart: cart.Name}}
			if _, err := client.Carts.ClearCart(ctx, &pb.ClearCartRequest{Target: target}); err != nil {
				return err
			}
		case *clientela.Change[*pb.Cart]:
			fmt.Println("version", event.Version, "has", event.Resource.ItemCount, "pieces")
			if event.Resource.ItemCount == 0 {
				return nil
			}
		}
	}
	return ctx.Err()
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// The program flood is a server with only a watch of carts, which sends changes at a given rate to measure
// clients.
//
//	flood [-rate 5000] [-seconds 20] [-batch 1] [-listen 127.0.0.1:23456]
//
// The commit time of a change is the time when it was due, so that a client can measure its delay.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "clientela.dev/clientela/v1"
)

// The number of carts, which change in turn.
const carts = 1000

var (
	rate    = flag.Int("rate", 5000, "changes in a second; 0: as fast as they are taken")
	seconds = flag.Int("seconds", 20, "for how long; without a rate: how many times 5,000")
	batch   = flag.Int("batch", 1, "changes in a message")
	listen  = flag.String("listen", "127.0.0.1:23456", "where")
)

type flood struct {
	pb.UnimplementedCartServiceServer
}

// WatchCarts sends an empty snapshot, then the changes, and then nothing.
func (flood) WatchCarts(_ *pb.WatchCartsRequest, stream pb.CartService_WatchCartsServer) error {
	begin := &pb.WatchCartsResponse_SnapshotBegin{SnapshotBegin: &pb.SnapshotBegin{Cause: pb.SnapshotBegin_CAUSE_INITIAL}}
	end := &pb.WatchCartsResponse_SnapshotEnd{SnapshotEnd: &pb.SnapshotEnd{}}
	for _, message := range []*pb.WatchCartsResponse{{Signal: begin}, {Signal: end, ResumeToken: "t"}} {
		if err := stream.Send(message); err != nil {
			return err
		}
	}
	cart := sample()
	total := max(*rate, 1) * *seconds
	if *rate == 0 {
		total = 5000 * *seconds
	}
	started := time.Now()
	for n := 0; n < total; n += *batch {
		due := time.Now()
		if *rate > 0 {
			due = started.Add(time.Duration(n) * time.Second / time.Duration(*rate))
			// A few are sent at once, because timers are not exact.
			if early := time.Until(due); early > 2*time.Millisecond {
				time.Sleep(early)
			}
		}
		message := &pb.WatchCartsResponse{ResumeToken: "t"}
		for i := n; i < n+*batch; i++ {
			changed := proto.CloneOf(cart)
			changed.Name, changed.Version = fmt.Sprintf("carts/%d", i%carts), int64(i+1)
			message.Changes = append(message.Changes, &pb.CartChange{
				Kind: pb.ChangeKind_CHANGE_KIND_UPSERTED, Name: changed.Name, Version: changed.Version,
				Cart: changed, CommitTime: timestamppb.New(due),
				Causes: []*pb.CartCause{{Kind: pb.CartCause_KIND_ITEM_ADDED, Product: "mug", QuantityAfter: 2}},
			})
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

// sample is a cart of three lines.
func sample() *pb.Cart {
	euro := func(micros int64) *pb.Money { return &pb.Money{CurrencyCode: "EUR", Micros: micros} }
	cart := &pb.Cart{Customer: "customers/ada", Number: "1001", Slot: "main", CurrencyCode: "EUR", ItemCount: 6,
		Total: euro(71_400_000), Subtotal: euro(71_400_000), Tax: euro(11_900_000), State: pb.Cart_STATE_OPEN,
		CustomerSummary: &pb.CustomerSummary{DisplayName: "Ada Lovelace", Groups: []string{"groups/customer"}}}
	for n := range 3 {
		cart.Items = append(cart.Items, &pb.Item{Name: fmt.Sprintf("carts/1001/items/%d", n), Product: "mug", Quantity: 2,
			DisplayName: "A mug with a picture", Price: &pb.ItemPrice{ListPrice: euro(11_900_000), TaxRate: "20"},
			UnitPrice: euro(11_900_000), Subtotal: euro(23_800_000), Tax: euro(3_966_667), Total: euro(23_800_000)})
	}
	return cart
}

func main() {
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: a cart has %d bytes\n", listener.Addr(), proto.Size(sample()))
	server := grpc.NewServer()
	pb.RegisterCartServiceServer(server, flood{})
	log.Fatal(server.Serve(listener))
}

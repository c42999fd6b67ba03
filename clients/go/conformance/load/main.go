// The program load watches the server flood, and prints the rate and the delay of the changes.
//
//	load -changes 100000
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"slices"
	"time"

	"clientela.dev/clientela"
	pb "clientela.dev/clientela/v1"
)

func main() {
	changes := flag.Int("changes", 100_000, "how many come")
	address := flag.String("address", "127.0.0.1:23456", "where")
	flag.Parse()
	client, err := clientela.Connect(clientela.Options{Address: *address})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var started time.Time
	late := make([]time.Duration, 0, *changes)
	known := map[string]*pb.Cart{}
	for event, err := range client.WatchCarts(ctx, clientela.Watch{}) {
		if err != nil {
			log.Fatal(err)
		}
		change, is := event.(*clientela.Change[*pb.Cart])
		if !is {
			started = time.Now()
			continue
		}
		known[change.Name] = change.Resource
		late = append(late, time.Since(change.Message.(*pb.CartChange).CommitTime.AsTime()))
		if len(late) == *changes {
			break
		}
	}
	cancel()
	took := time.Since(started)
	last := late[len(late)-1]
	slices.Sort(late)
	at := func(share float64) time.Duration {
		return late[int(share*float64(len(late)-1))].Round(100 * time.Microsecond)
	}
	fmt.Printf("%d changes in %.1f s: %.0f/s; late: half %v, 99 of 100 %v, the last %v\n",
		len(late), took.Seconds(), float64(len(late))/took.Seconds(), at(0.5), at(0.99), last.Round(100*time.Microsecond))
}

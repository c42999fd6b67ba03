package clientela

import (
	"context"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "clientela.dev/clientela/v1"
)

// Figures are the options of WatchCartFigures. The zero value is the figures of all storefronts, at most once a
// second.
type Figures struct {
	// Only carts of this storefront; all if empty.
	Storefront string
	// The shortest time between two figures: 100 ms to 60 s; 1 s if zero.
	MinInterval time.Duration
	// The longest time between two figures, changed or not: 1 s to 60 s; 15 s if zero. A stream that sends nothing
	// for three times as long is closed and opened again.
	HeartbeatInterval time.Duration
	// Receives the error when the connection is lost, and nil when there is a new one. The reading goroutine calls it.
	Notify func(error)
	// As in Watch.
	wait func(least, most time.Duration) time.Duration
}

// WatchCartFigures yields the figures of the shop's open carts: at once, and whenever they change. It reconnects
// and ends as WatchCarts does. A new connection begins with the figures as they are then.
func (c *Client) WatchCartFigures(ctx context.Context, options Figures) iter.Seq2[*pb.CartFigures, error] {
	request := &pb.WatchCartFiguresRequest{Storefront: options.Storefront}
	if options.MinInterval != 0 {
		request.MinInterval = durationpb.New(options.MinInterval)
	}
	if options.HeartbeatInterval != 0 {
		request.HeartbeatInterval = durationpb.New(options.HeartbeatInterval)
	}
	silence := 3 * max(heartbeat(request.HeartbeatInterval), options.MinInterval)
	return func(yield func(*pb.CartFigures, error) bool) {
		loop := reconnecting{conn: c.conn, notify: options.Notify, wait: options.wait}
		err := loop.run(ctx, func() error {
			return read(ctx, silence, func(ctx context.Context) (func() (*pb.WatchCartFiguresResponse, error), error) {
				stream, err := c.Carts.WatchCartFigures(ctx, request)
				return func() (*pb.WatchCartFiguresResponse, error) { return stream.Recv() }, err
			}, func(message *pb.WatchCartFiguresResponse) bool {
				loop.received()
				// A message that only announces the end of the stream has no figures.
				return message.Figures == nil || yield(message.Figures, nil)
			})
		}, isTransient)
		if err != nil {
			yield(nil, err)
		}
	}
}

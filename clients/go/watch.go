// Watches: their events, and how a watch follows a resource across connections.

package clientela

import (
	"context"
	"errors"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "clientela.dev/clientela/v1"
)

// Event is a *Change, *Reset or *Ready.
type Event[R any] interface{ event(R) }

// Change is a new state of one resource.
type Change[R any] struct {
	Kind    pb.ChangeKind
	Name    string
	Version int64
	// The whole resource if Kind is CHANGE_KIND_UPSERTED, else nil.
	Resource R
	// The change as the server sent it: with its commit time, causes, and how many versions it replaces.
	Message proto.Message
}

// Reset tells the reader to discard all resources: a new snapshot follows.
type Reset[R any] struct{ Cause pb.SnapshotBegin_Cause }

// Ready tells the reader that the snapshot is complete. Count is the number of resources that the reader now has.
type Ready[R any] struct{ Count int64 }

func (*Change[R]) event(R) {}
func (*Reset[R]) event(R)  {}
func (*Ready[R]) event(R)  {}

// Watch has the options of a watch. The zero value watches all resources of the shop.
type Watch struct {
	// The resources that match Filter, or those with these Names, at most 1,000. Do not set both.
	Filter string
	Names  []string
	// The heartbeat, the delivery mode, and a resume token to begin with. The watch does not change it. A stream
	// that sends nothing for three heartbeat intervals, of 15 s by default, is closed and opened again.
	Options *pb.WatchOptions
	// Receives the error when the connection is lost, and nil when there is a new one. The reading goroutine calls it.
	Notify func(error)
	// Returns the pause before a new connection, between two bounds; a random one if nil. For tests.
	wait func(least, most time.Duration) time.Duration
}

// WatchCarts yields events of carts until the context ends or the loop is left.
//
// When the server or the network fails, the watch waits 0.1 s to 10 s and connects again, however long that takes.
// It continues after the last event and yields no change twice. It yields an *Error as its last value if another
// attempt cannot help, for example after the key was revoked. The end of the context is not an error. Each loop
// over the result is a watch of its own, which begins with a Reset unless Options say otherwise. Read an event at
// least every 30 s: the server closes the stream of a slower reader, and the watch has to catch up.
func (c *Client) WatchCarts(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Cart], error] {
	return follow(ctx, c, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.CartChange], error) {
		stream, err := c.Carts.WatchCarts(ctx, &pb.WatchCartsRequest{Filter: watch.Filter, Names: watch.Names, Options: options})
		return func() (message[*pb.CartChange], error) { return stream.Recv() }, err
	}, (*pb.CartChange).GetCart)
}

// WatchCart yields events of one cart, or of the open carts of an owner: when a cart is ordered, the watch
// continues with the owner's next cart. Write the target with Cart, CustomerCart or VisitorCart. Apart from that
// it is like WatchCarts. It takes no Filter and no Names.
func (c *Client) WatchCart(ctx context.Context, target *pb.CartTarget, watch Watch) iter.Seq2[Event[*pb.Cart], error] {
	return follow(ctx, c, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.CartChange], error) {
		if watch.Filter != "" || watch.Names != nil {
			return nil, newError(codes.InvalidArgument, pb.ErrorReason_ERROR_REASON_UNSPECIFIED,
				"WatchCart takes no Filter and no Names: use WatchCarts")
		}
		stream, err := c.Carts.WatchCart(ctx, &pb.WatchCartRequest{Target: target, Options: options})
		return func() (message[*pb.CartChange], error) { return stream.Recv() }, err
	}, (*pb.CartChange).GetCart)
}

// WatchCustomers is like WatchCarts, for customers.
func (c *Client) WatchCustomers(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Customer], error] {
	return follow(ctx, c, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.CustomerChange], error) {
		stream, err := c.Customers.WatchCustomers(ctx, &pb.WatchCustomersRequest{Filter: watch.Filter, Names: watch.Names, Options: options})
		return func() (message[*pb.CustomerChange], error) { return stream.Recv() }, err
	}, (*pb.CustomerChange).GetCustomer)
}

// WatchGroups is like WatchCarts, for groups.
func (c *Client) WatchGroups(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Group], error] {
	return follow(ctx, c, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.GroupChange], error) {
		stream, err := c.Groups.WatchGroups(ctx, &pb.WatchGroupsRequest{Filter: watch.Filter, Names: watch.Names, Options: options})
		return func() (message[*pb.GroupChange], error) { return stream.Recv() }, err
	}, (*pb.GroupChange).GetGroup)
}

type change interface {
	proto.Message
	GetKind() pb.ChangeKind
	GetName() string
	GetVersion() int64
}

type message[C change] interface {
	GetChanges() []C
	GetResumeToken() string
	GetSnapshotBegin() *pb.SnapshotBegin
	GetSnapshotEnd() *pb.SnapshotEnd
}

type receive[C change] func() (message[C], error)

// follow is the loop of a watch of resources; docs/WATCH.md of the server describes it.
func follow[C change, R any](ctx context.Context, client *Client, watch Watch,
	open func(context.Context, *pb.WatchOptions) (receive[C], error), resource func(C) R,
) iter.Seq2[Event[R], error] {
	return func(yield func(Event[R], error) bool) {
		options := &pb.WatchOptions{}
		if watch.Options != nil {
			options = proto.CloneOf(watch.Options)
		}
		options.ResetOnExpiredToken = true
		silence := 3 * heartbeat(options.HeartbeatInterval)
		known := seen{whole: !options.SkipSnapshot && options.ResumeToken == ""}
		known.forget()
		loop := reconnecting{conn: client.conn, notify: watch.Notify, wait: watch.wait}
		err := loop.run(ctx, func() error {
			return read(ctx, silence, func(ctx context.Context) (func() (message[C], error), error) {
				return open(ctx, options)
			}, func(received message[C]) bool {
				loop.received()
				return take(received, options, &known, resource, yield)
			})
		}, func(err error) bool { return isTransient(err) || dropToken(err, options) })
		if err != nil {
			yield(nil, err)
		}
	}
}

// heartbeat returns the interval that the server makes of what a request asks for.
func heartbeat(asked *durationpb.Duration) time.Duration {
	if asked == nil {
		return 15 * time.Second
	}
	return min(time.Minute, max(time.Second, asked.AsDuration()))
}

// dropToken discards a resume token that the server cannot continue from, and reports whether a stream without one may
// work.
func dropToken(err error, options *pb.WatchOptions) bool {
	var typed *Error
	if !errors.As(err, &typed) {
		return false
	}
	stale := typed.Code == codes.OutOfRange || typed.Code == codes.Aborted ||
		typed.Reason == pb.ErrorReason_INVALID_RESUME_TOKEN && options.ResumeToken != ""
	if stale {
		options.ResumeToken = ""
	}
	return stale
}

// take yields the events of one message.
func take[C change, R any](received message[C], options *pb.WatchOptions, known *seen,
	resource func(C) R, yield func(Event[R], error) bool,
) bool {
	if begin := received.GetSnapshotBegin(); begin != nil {
		known.forget()
		known.whole = true
		// A stream that breaks within a snapshot has to begin again.
		options.ResumeToken = ""
		if !yield(&Reset[R]{Cause: begin.Cause}, nil) {
			return false
		}
	}
	for _, change := range received.GetChanges() {
		if !known.isNews(change.GetKind(), change.GetName(), change.GetVersion()) {
			continue
		}
		event := &Change[R]{Kind: change.GetKind(), Name: change.GetName(), Version: change.GetVersion(),
			Resource: resource(change), Message: change}
		if !yield(event, nil) {
			return false
		}
	}
	if token := received.GetResumeToken(); token != "" {
		options.ResumeToken = token
		options.SkipSnapshot = false
	}
	if end := received.GetSnapshotEnd(); end != nil {
		return yield(&Ready[R]{Count: end.Count}, nil)
	}
	return true
}

// Watches: their events, the loop that goes on when a stream ends, and what they have told already.

package clientela

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "clientela/v1"
)

const (
	// How long a watch waits before it connects again: doubled from the first to the last.
	waitMin, waitMax = 100 * time.Millisecond, 10 * time.Second
	// How many removed names a watch remembers, so that nothing that is older comes after.
	goneMax = 10_000
)

// Event is a *Change, *Reset or *Ready.
type Event[R any] interface{ event(R) }

// Change is what became of one resource.
type Change[R any] struct {
	Kind    pb.ChangeKind
	Name    string
	Version int64
	// The whole of it if Kind is CHANGE_KIND_UPSERTED, else nil.
	Resource R
	// The change as the stream told it, with its commit time, how many it replaces, and causes.
	Message proto.Message
}

// Reset says: forget what you know, a whole state follows.
type Reset[R any] struct{ Cause pb.SnapshotBegin_Cause }

// Ready says: the state is whole, and Count resources are known.
type Ready[R any] struct{ Count int64 }

func (*Change[R]) event(R) {}
func (*Reset[R]) event(R)  {}
func (*Ready[R]) event(R)  {}

// Watch says what to watch.
type Watch struct {
	// Which resources: those that match, or those of these names, 1,000 at the most; all if both are empty.
	Filter string
	Names  []string
	// Heartbeats, delivery, and a token to begin with. What is here is not changed. A stream that says
	// nothing for three heartbeat intervals (of 15 s, if nothing else is said) is taken for lost.
	Options *pb.WatchOptions
	// Told of the error when the connection is lost, and of nil when there is another; by the goroutine
	// that reads.
	Notify func(error)
	// How long to wait before connecting again, between two bounds; at random if nil. For tests.
	wait func(least, most time.Duration) time.Duration
}

// WatchCarts gives events until the context ends or the loop is left, or with an error that waiting does not
// cure, as a revoked key; that error is an *Error and the last. An end of the context is none. A server that
// goes away, or was never there, is waited for, 0.1 to 10 s at a time. Each loop over what is returned is a
// watch of its own, that begins with a Reset unless Options say otherwise. Do not let half a minute pass
// between two events: the server gives up whoever does not read, and the watch has to catch up.
func (c *Client) WatchCarts(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Cart], error] {
	return follow(ctx, c.conn, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.CartChange], error) {
		stream, err := c.Carts.WatchCarts(ctx, &pb.WatchCartsRequest{Filter: watch.Filter, Names: watch.Names, Options: options})
		return func() (message[*pb.CartChange], error) { return stream.Recv() }, err
	}, (*pb.CartChange).GetCart)
}

// WatchCustomers is WatchCarts for customers.
func (c *Client) WatchCustomers(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Customer], error] {
	return follow(ctx, c.conn, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.CustomerChange], error) {
		stream, err := c.Customers.WatchCustomers(ctx, &pb.WatchCustomersRequest{Filter: watch.Filter, Names: watch.Names, Options: options})
		return func() (message[*pb.CustomerChange], error) { return stream.Recv() }, err
	}, (*pb.CustomerChange).GetCustomer)
}

// WatchGroups is WatchCarts for groups.
func (c *Client) WatchGroups(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Group], error] {
	return follow(ctx, c.conn, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.GroupChange], error) {
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

// follow is the loop of every watch; see docs/WATCH.md of the server.
func follow[C change, R any](ctx context.Context, conn *grpc.ClientConn, watch Watch,
	open func(context.Context, *pb.WatchOptions) (receive[C], error), resource func(C) R,
) iter.Seq2[Event[R], error] {
	return func(yield func(Event[R], error) bool) {
		options := &pb.WatchOptions{}
		if watch.Options != nil {
			options = proto.CloneOf(watch.Options)
		}
		options.ResetOnExpiredToken = true
		silence := 3 * heartbeat(options)
		known := seen{whole: !options.SkipSnapshot && options.ResumeToken == ""}
		known.forget()
		for failures := 0; ctx.Err() == nil; failures++ {
			err := stream(ctx, silence, options, open, func(said message[C]) bool {
				if failures > 0 && watch.Notify != nil {
					watch.Notify(nil)
				}
				failures = 0
				return tell(said, options, &known, resource, yield)
			})
			if err == errStopped || ctx.Err() != nil || isDeadline(ctx, err) {
				return
			}
			if conn.GetState() == connectivity.Shutdown || !isCurable(err, options) {
				yield(nil, err)
				return
			}
			if watch.Notify != nil {
				watch.Notify(err)
			}
			longest := min(waitMax, waitMin<<min(failures+1, 10))
			pause := waitMin + time.Duration(rand.Int64N(int64(longest-waitMin)))
			if watch.wait != nil {
				pause = watch.wait(waitMin, longest)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// isDeadline says whether the server was the first to notice that the context's time is up.
func isDeadline(ctx context.Context, err error) bool {
	_, has := ctx.Deadline()
	return has && status.Code(err) == codes.DeadlineExceeded
}

func heartbeat(options *pb.WatchOptions) time.Duration {
	if options.HeartbeatInterval == nil {
		return 15 * time.Second
	}
	return min(time.Minute, max(time.Second, options.HeartbeatInterval.AsDuration()))
}

// Whoever reads has stopped.
var errStopped = errors.New("stopped")

// stream reads one stream to its end, which nothing heard for too long is too.
func stream[C change](ctx context.Context, silence time.Duration, options *pb.WatchOptions,
	open func(context.Context, *pb.WatchOptions) (receive[C], error), take func(message[C]) bool,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := &Error{Code: codes.Unavailable, Message: fmt.Sprintf("nothing was heard for %v", silence)}
	silent.status = status.New(silent.Code, silent.Message)
	guard := time.AfterFunc(silence, func() { cancel(silent) })
	defer guard.Stop()
	next, err := open(ctx, options)
	for err == nil {
		var said message[C]
		if said, err = next(); err != nil {
			break
		}
		// Reading slowly is not silence of the server.
		guard.Stop()
		if !take(said) {
			return errStopped
		}
		guard.Reset(silence)
	}
	if context.Cause(ctx) == silent {
		return silent
	}
	return err
}

// isCurable says whether to connect again after an error, and drops a token that leads nowhere.
func isCurable(err error, options *pb.WatchOptions) bool {
	var typed *Error
	if !errors.As(err, &typed) {
		// The stream ended without an error.
		return true
	}
	switch {
	case typed.Code == codes.OutOfRange, typed.Code == codes.Aborted,
		typed.Reason == pb.ErrorReason_INVALID_RESUME_TOKEN:
		had := options.ResumeToken != ""
		options.ResumeToken = ""
		return had
	case typed.Code == codes.Unavailable, typed.Code == codes.Internal, typed.Code == codes.Unknown,
		// By a proxy that gave the stream up: whoever reads has not.
		typed.Code == codes.Canceled,
		typed.Reason == pb.ErrorReason_SLOW_CONSUMER:
		return true
	}
	return false
}

// tell yields what a message of the stream tells.
func tell[C change, R any](said message[C], options *pb.WatchOptions, known *seen,
	resource func(C) R, yield func(Event[R], error) bool,
) bool {
	if begin := said.GetSnapshotBegin(); begin != nil {
		known.forget()
		known.whole = true
		// Before a snapshot is whole, there is nothing to go on from.
		options.ResumeToken = ""
		if !yield(&Reset[R]{Cause: begin.Cause}, nil) {
			return false
		}
	}
	for _, change := range said.GetChanges() {
		if !known.isNews(change.GetKind(), change.GetName(), change.GetVersion()) {
			continue
		}
		event := &Change[R]{Kind: change.GetKind(), Name: change.GetName(), Version: change.GetVersion(),
			Resource: resource(change), Message: change}
		if !yield(event, nil) {
			return false
		}
	}
	if token := said.GetResumeToken(); token != "" {
		options.ResumeToken = token
		options.SkipSnapshot = false
	}
	if end := said.GetSnapshotEnd(); end != nil {
		return yield(&Ready[R]{Count: end.Count}, nil)
	}
	return true
}

// seen is what a watch has told: the version of each resource, by which repetitions are dropped.
type seen struct {
	// Whether it began with all that is there, so that what is not known never was.
	whole    bool
	versions map[string]int64
	gone     map[string]int64
	// The names in gone, oldest first; some may have come back, or gone again.
	order []string
}

func (s *seen) forget() {
	s.versions, s.gone, s.order = map[string]int64{}, map[string]int64{}, nil
}

func (s *seen) isNews(kind pb.ChangeKind, name string, version int64) bool {
	known, isKnown := s.versions[name]
	gone, isGone := s.gone[name]
	if isKnown && known > version || isGone && gone > version {
		return false
	}
	if kind == pb.ChangeKind_CHANGE_KIND_UPSERTED {
		// What the clock lets leave a filter may enter it again with the version it had.
		delete(s.gone, name)
		s.versions[name] = version
		return !isKnown || known < version
	}
	delete(s.versions, name)
	s.gone[name] = version
	s.order = append(s.order, name)
	if len(s.order) > goneMax {
		delete(s.gone, s.order[0])
		s.order = s.order[1:]
	}
	return isKnown || (!s.whole && kind == pb.ChangeKind_CHANGE_KIND_DELETED && (!isGone || gone < version))
}

// Reconnecting: the loop that all watches share. It opens a stream again when the old one ends.

package clientela

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	pb "clientela.dev/clientela/v1"
)

// The pause before a new stream doubles from waitMin to waitMax.
const waitMin, waitMax = 100 * time.Millisecond, 10 * time.Second

// errStopped ends a watch whose reader has left the loop.
var errStopped = errors.New("stopped")

// reconnecting opens streams one after the other.
type reconnecting struct {
	conn   *grpc.ClientConn
	notify func(error)
	// Returns the pause between two bounds; a random one if nil. For tests.
	wait func(least, most time.Duration) time.Duration
	// The streams in a row that ended without a message.
	failures int
}

// run calls stream again and again until the reader stops, the context ends, or isCurable rejects an error. It
// returns that error, or nil.
func (r *reconnecting) run(ctx context.Context, stream func() error, isCurable func(error) bool) error {
	for ; ctx.Err() == nil; r.failures++ {
		err := stream()
		if err == errStopped || ctx.Err() != nil || isDeadline(ctx, err) {
			return nil
		}
		if r.conn.GetState() == connectivity.Shutdown || !isCurable(err) {
			return err
		}
		if r.notify != nil {
			r.notify(err)
		}
		longest := min(waitMax, waitMin<<min(r.failures+1, 10))
		pause := waitMin + time.Duration(rand.Int64N(int64(longest-waitMin)))
		if r.wait != nil {
			pause = r.wait(waitMin, longest)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// received records that the present stream works.
func (r *reconnecting) received() {
	if r.failures > 0 && r.notify != nil {
		r.notify(nil)
	}
	r.failures = 0
}

// isDeadline reports whether err means that the time of the context is up, even if the server noticed it first.
func isDeadline(ctx context.Context, err error) bool {
	_, has := ctx.Deadline()
	return has && status.Code(err) == codes.DeadlineExceeded
}

// isTransient reports whether the same stream may work at the next attempt.
func isTransient(err error) bool {
	var typed *Error
	if !errors.As(err, &typed) {
		// The stream ended without an error.
		return true
	}
	switch typed.Code {
	// Canceled comes from a proxy that closed the stream: the reader has not.
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.Canceled:
		return true
	}
	return typed.Reason == pb.ErrorReason_SLOW_CONSUMER
}

// read reads one stream to its end. A stream that sends nothing for the time silence has ended, too. The time in
// which take runs does not count.
func read[M any](ctx context.Context, silence time.Duration, open func(context.Context) (func() (M, error), error),
	take func(M) bool,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := newError(codes.Unavailable, pb.ErrorReason_ERROR_REASON_UNSPECIFIED,
		fmt.Sprintf("the server sent nothing for %v", silence))
	guard := time.AfterFunc(silence, func() { cancel(silent) })
	defer guard.Stop()
	next, err := open(ctx)
	for err == nil {
		var message M
		if message, err = next(); err != nil {
			break
		}
		guard.Stop()
		if !take(message) {
			return errStopped
		}
		guard.Reset(silence)
	}
	if context.Cause(ctx) == silent {
		return silent
	}
	return err
}

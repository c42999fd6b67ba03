// Package clientela is the client of Clientela: the generated stubs, connected, with typed errors and
// watches that go on by themselves. The messages are in clientela/v1.
//
// Invariant: a change that a watch has given is not given again, and none is left out without a Reset
// that says so.
package clientela

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "clientela/v1"
)

const (
	serviceConfig = `{"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	// How long a watch waits before it connects again: doubled from the first to the last.
	waitMin, waitMax = 100 * time.Millisecond, 10 * time.Second
	// How many removed names a watch remembers, so that nothing that is older comes after.
	goneMax = 10_000
)

// Options say where and how to connect. The zero value is the server of this machine.
type Options struct {
	// 127.0.0.1:50051 if empty.
	Address string
	// The environment's CLIENTELA_API_KEY if empty.
	Key string
	// Go along with every call.
	Shop, Actor, OnBehalfOf string
	// Instead of the system's authorities. Without it loopback is plaintext and everything else TLS.
	TLS *tls.Config
	// Sends key and data to another host than this for all to read.
	Plaintext bool
	// Of a call whose context has no deadline; 30 s if zero.
	Timeout time.Duration
	// Further options of gRPC.
	Dial []grpc.DialOption
}

// Client has the services, connected. It is safe for concurrent use.
type Client struct {
	Customers  pb.CustomerServiceClient
	Groups     pb.GroupServiceClient
	Carts      pb.CartServiceClient
	Admin      pb.AdminServiceClient
	Operations pb.OperationServiceClient
	conn       *grpc.ClientConn
}

// Connect makes a client. It connects when it is first used, and again whenever it has to.
func Connect(options Options) (*Client, error) {
	if options.Address == "" {
		options.Address = "127.0.0.1:50051"
	}
	if options.Key == "" {
		options.Key = os.Getenv("CLIENTELA_API_KEY")
	}
	if options.Timeout == 0 {
		options.Timeout = 30 * time.Second
	}
	transport := credentials.NewTLS(options.TLS)
	if options.Plaintext || (options.TLS == nil && isLoopback(options.Address)) {
		transport = insecure.NewCredentials()
	}
	calls := calls{timeout: options.Timeout}
	for name, value := range map[string]string{
		"clientela-shop": options.Shop, "clientela-actor": options.Actor, "clientela-on-behalf-of": options.OnBehalfOf,
	} {
		if value != "" {
			calls.headers = append(calls.headers, name, value)
		}
	}
	if options.Key != "" {
		calls.headers = append(calls.headers, "authorization", "Bearer "+options.Key)
	}
	conn, err := grpc.NewClient(options.Address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: waitMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: waitMax},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithUnaryInterceptor(calls.unary),
		grpc.WithStreamInterceptor(calls.stream),
	}, options.Dial...)...)
	if err != nil {
		return nil, err
	}
	return &Client{
		Customers:  pb.NewCustomerServiceClient(conn),
		Groups:     pb.NewGroupServiceClient(conn),
		Carts:      pb.NewCartServiceClient(conn),
		Admin:      pb.NewAdminServiceClient(conn),
		Operations: pb.NewOperationServiceClient(conn),
		conn:       conn,
	}, nil
}

// Close ends the connection. A watch is ended by its context.
func (c *Client) Close() error { return c.conn.Close() }

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(address, "dns:///"))
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// Violation is what is wrong with one field of a request.
type Violation struct{ Field, Reason, Description string }

// Error is a call that did not succeed; every error of the services is one. Decide by Code and Reason,
// never by the text.
type Error struct {
	Code codes.Code
	// ERROR_REASON_UNSPECIFIED if the error is not the server's, or of a newer contract.
	Reason     pb.ErrorReason
	Message    string
	Metadata   map[string]string
	Violations []Violation
	// How long to wait before trying again, if the server says so.
	RetryAfter time.Duration
	status     *status.Status
}

func (e *Error) Error() string {
	if e.Reason == pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return fmt.Sprintf("%v: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%v: %s", e.Reason, e.Message)
}

// GRPCStatus is for status.FromError and status.Code.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// HasReason says whether an error is a refusal for this reason.
func HasReason(err error, reason pb.ErrorReason) bool {
	var typed *Error
	return errors.As(err, &typed) && typed.Reason == reason
}

// typed gives what a failed call of gRPC says; io.EOF and nil as they are.
func typed(err error) error {
	var already *Error
	said, ok := status.FromError(err)
	if err == nil || errors.As(err, &already) || !ok {
		return err
	}
	made := &Error{Code: said.Code(), Message: said.Message(), status: said}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			made.Reason = pb.ErrorReason(pb.ErrorReason_value[detail.Reason])
			made.Metadata = detail.Metadata
		case *errdetails.BadRequest:
			for _, v := range detail.FieldViolations {
				made.Violations = append(made.Violations, Violation{v.Field, v.Reason, v.Description})
			}
		case *errdetails.RetryInfo:
			made.RetryAfter = detail.RetryDelay.AsDuration()
		}
	}
	return made
}

// calls is what is done to every call.
type calls struct {
	headers []string
	timeout time.Duration
}

func (c calls) unary(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	ctx = metadata.AppendToOutgoingContext(ctx, c.headers...)
	return typed(invoke(ctx, method, withRequestID(request), answer, conn, options...))
}

// withRequestID gives a request an id of its own before the first attempt, so that a repeated one is
// answered and not done twice. On a copy: the caller's is a new request when it is used again.
func withRequestID(request any) any {
	message, ok := request.(proto.Message)
	if !ok {
		return request
	}
	field := message.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil || message.ProtoReflect().Has(field) {
		return request
	}
	message = proto.Clone(message)
	message.ProtoReflect().Set(field, protoreflect.ValueOfString(uuid.NewString()))
	return message
}

func (c calls) stream(ctx context.Context, description *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, c.headers...)
	stream, err := open(ctx, description, conn, method, options...)
	if err != nil {
		return nil, typed(err)
	}
	return typedStream{stream}, nil
}

type typedStream struct{ grpc.ClientStream }

func (s typedStream) RecvMsg(message any) error { return typed(s.ClientStream.RecvMsg(message)) }

// Event is a *Change, *Reset or *Ready.
type Event[R any] interface{ event(R) }

// Change is what became of one resource.
type Change[R any] struct {
	Kind    pb.ChangeKind
	Name    string
	Version int64
	// The whole of it, if Kind is CHANGE_KIND_UPSERTED.
	Resource R
	// The change as the stream told it, with its commit time, how many it replaces, and causes.
	Message proto.Message
}

// Reset says: forget what you know, a whole state follows.
type Reset[R any] struct{ Cause pb.SnapshotBegin_Cause }

// Ready says: the state is whole, and so many resources are known.
type Ready[R any] struct{ Count int64 }

func (*Change[R]) event(R) {}
func (*Reset[R]) event(R)  {}
func (*Ready[R]) event(R)  {}

// Watch says what to watch.
type Watch struct {
	// Which resources: those that match, or those of these names; all if both are empty.
	Filter string
	Names  []string
	// Heartbeats, delivery, and a token to begin with. What is here is not changed.
	Options *pb.WatchOptions
	// Told of the error when the connection is lost, and of nil when there is another.
	Notify func(error)
	// How long to wait before connecting again, between two bounds; at random if nil. For tests.
	wait func(least, most time.Duration) time.Duration
}

// WatchCarts gives events until the context ends, or with an error that waiting does not cure; that
// error is the last. An end of the context is none.
func (c *Client) WatchCarts(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Cart], error] {
	return follow(ctx, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.CartChange], error) {
		stream, err := c.Carts.WatchCarts(ctx, &pb.WatchCartsRequest{Filter: watch.Filter, Names: watch.Names, Options: options})
		return func() (message[*pb.CartChange], error) { return stream.Recv() }, err
	}, (*pb.CartChange).GetCart)
}

// WatchCustomers is WatchCarts for customers.
func (c *Client) WatchCustomers(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Customer], error] {
	return follow(ctx, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.CustomerChange], error) {
		stream, err := c.Customers.WatchCustomers(ctx, &pb.WatchCustomersRequest{Filter: watch.Filter, Names: watch.Names, Options: options})
		return func() (message[*pb.CustomerChange], error) { return stream.Recv() }, err
	}, (*pb.CustomerChange).GetCustomer)
}

// WatchGroups is WatchCarts for groups.
func (c *Client) WatchGroups(ctx context.Context, watch Watch) iter.Seq2[Event[*pb.Group], error] {
	return follow(ctx, watch, func(ctx context.Context, options *pb.WatchOptions) (receive[*pb.GroupChange], error) {
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
func follow[C change, R any](ctx context.Context, watch Watch,
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
			if !isCurable(err, options) {
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

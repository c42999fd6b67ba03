// Package clientela is the Go client of Clientela, which keeps a shop's customers, groups and live carts. It connects
// the generated stubs, types the errors, and keeps watches open across outages. The messages are in package v1.
//
// Invariant: a watch yields no change twice, and skips none without a Reset.
package clientela

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "clientela.dev/clientela/v1"
)

// Options are the options of Connect. The zero value is the server on this machine, with the key in the environment.
type Options struct {
	// The host and the port, for example shop.example.com:443. If it is empty, the environment variable
	// CLIENTELA_SERVER; without that, 127.0.0.1:50051.
	Address string
	// The API key; the environment variable CLIENTELA_API_KEY if empty.
	Key string
	// The shop of every call, for example shops/berlin. Only operator keys need it.
	Shop string
	// The acting person of every call, for example staff/anna. Only keys that may name the actor can set it.
	Actor string
	// The person for whom the actor acts.
	OnBehalfOf string
	// The TLS configuration, for example with other authorities than the system's. If it is nil, connections to
	// loopback use plaintext and all others TLS.
	TLS *tls.Config
	// Sends the key and all data without encryption, to any host and even if TLS is set.
	Plaintext bool
	// The deadline of calls whose context has none, retries included; 30 s if zero. Streams have no deadline.
	Timeout time.Duration
	// Further options of gRPC; they override those of the client.
	Dial []grpc.DialOption
}

// Client has the services of the contract on one connection. It is safe for concurrent use.
type Client struct {
	Customers    pb.CustomerServiceClient
	Groups       pb.GroupServiceClient
	Carts        pb.CartServiceClient
	Admin        pb.AdminServiceClient
	Operations   pb.OperationServiceClient
	SavedFilters pb.SavedFilterServiceClient
	conn         *grpc.ClientConn
}

// Connect returns a client. The client connects at the first call, and again after an outage. A server that is not
// there is therefore an error of the call (codes.Unavailable). Connect itself returns an error if there is no API key
// (KEY_MISSING) or if the address is malformed.
func Connect(options Options) (*Client, error) {
	options.Address = cmp.Or(options.Address, os.Getenv("CLIENTELA_SERVER"), "127.0.0.1:50051")
	options.Key = cmp.Or(options.Key, os.Getenv("CLIENTELA_API_KEY"))
	if options.Key == "" {
		return nil, newError(codes.Unauthenticated, pb.ErrorReason_KEY_MISSING,
			"there is no API key: set Options.Key or the environment variable CLIENTELA_API_KEY")
	}
	if options.Timeout == 0 {
		options.Timeout = 30 * time.Second
	}
	transport := credentials.NewTLS(options.TLS)
	if options.Plaintext || (options.TLS == nil && isLoopback(options.Address)) {
		transport = insecure.NewCredentials()
	}
	calls := calls{timeout: options.Timeout, headers: []string{"authorization", "Bearer " + options.Key}}
	for name, value := range map[string]string{
		"clientela-shop": options.Shop, "clientela-actor": options.Actor, "clientela-on-behalf-of": options.OnBehalfOf,
	} {
		if value != "" {
			calls.headers = append(calls.headers, name, value)
		}
	}
	conn, err := grpc.NewClient(options.Address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(serviceConfig),
		// Shorter than the retries of a call, so that one of them finds a server that has come back.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: waitMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithUnaryInterceptor(calls.unary),
		grpc.WithStreamInterceptor(calls.stream),
	}, options.Dial...)...)
	if err != nil {
		return nil, err
	}
	return &Client{
		Customers:    pb.NewCustomerServiceClient(conn),
		Groups:       pb.NewGroupServiceClient(conn),
		Carts:        pb.NewCartServiceClient(conn),
		Admin:        pb.NewAdminServiceClient(conn),
		Operations:   pb.NewOperationServiceClient(conn),
		SavedFilters: pb.NewSavedFilterServiceClient(conn),
		conn:         conn,
	}, nil
}

// Close closes the connection. A watch that is still read ends with an error; end its context first.
func (c *Client) Close() error { return c.conn.Close() }

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(address, "dns:///"))
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// serviceConfig makes gRPC retry calls whose server is unavailable.
const serviceConfig = `{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
	"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// calls adds headers, a deadline and a request id to every call, and types its error.
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

// withRequestID returns a copy of a request with a fresh request id, so that the server applies a retried call once.
// The caller's message stays without an id: the next call with it is a new request.
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

// Package clientela is the client of Clientela: the generated stubs, connected, with typed errors and
// watches that go on by themselves. The messages are in clientela/v1.
//
// Invariant: a change that a watch has given is not given again, and none is left out without a Reset
// that says so.
package clientela

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "clientela/v1"
)

// Options say where and how to connect. The zero value is the server of this machine.
type Options struct {
	// Host and port, as shop.example.com:443; 127.0.0.1:50051 if empty.
	Address string
	// The environment's CLIENTELA_API_KEY if empty.
	Key string
	// Go along with every call: the shop, as shops/NAME, for a key of all shops; the person who acts; and
	// for whom.
	Shop, Actor, OnBehalfOf string
	// For authorities of one's own instead of the system's, or TLS to this machine. Without it loopback
	// is plaintext and everything else TLS.
	TLS *tls.Config
	// Sends key and data for all to read, wherever the server is and even if TLS is set.
	Plaintext bool
	// Of a call whose context has no deadline, with its repetitions; 30 s if zero. Streams have none.
	Timeout time.Duration
	// Further options of gRPC, which come after those of the client.
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

// Connect makes a client. It connects when it is first used, and again whenever it has to: a server that
// is not there is an error of the call (codes.Unavailable), and one of Connect is only an address that
// cannot be understood.
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

// Close ends the connection. A watch is ended by its context; one that is read still ends with an error.
func (c *Client) Close() error { return c.conn.Close() }

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(address, "dns:///"))
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// serviceConfig says which calls are repeated, and how often.
const serviceConfig = `{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
	"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

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

package clientela

import (
	"context"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "clientela.dev/clientela/v1"
)

// How long a stream stays open. A test that waits for a further message fails then.
const patience = 20 * time.Second

// script has the messages of one stream and the code of its end; with codes.OK it stays open.
type script[M any] struct {
	messages []*M
	code     codes.Code
	// The reason of the end, if the server gives one.
	reason pb.ErrorReason
}

func (s script[M]) err() error {
	ended := status.New(s.code, "as scripted")
	if s.reason != pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		ended, _ = ended.WithDetails(&errdetails.ErrorInfo{Reason: s.reason.String(), Domain: "clientela.v1"})
	}
	return ended.Err()
}

// streams are played in turn, one for each watch.
type streams[M any] struct {
	sync.Mutex
	scripts []script[M]
	tokens  []string
}

func (s *streams[M]) tell(options *pb.WatchOptions, stream grpc.ServerStreamingServer[M]) error {
	s.Lock()
	said := script[M]{code: codes.Unimplemented}
	if len(s.tokens) < len(s.scripts) {
		said = s.scripts[len(s.tokens)]
	}
	s.tokens = append(s.tokens, options.ResumeToken)
	s.Unlock()
	for _, message := range said.messages {
		if err := stream.Send(message); err != nil {
			return err
		}
	}
	if said.code == codes.OK {
		select {
		case <-stream.Context().Done():
		case <-time.After(patience):
		}
	}
	return said.err()
}

// scripted is a server with scripted answers.
type scripted struct {
	pb.UnimplementedCartServiceServer
	pb.UnimplementedCustomerServiceServer
	pb.UnimplementedGroupServiceServer
	carts     streams[pb.WatchCartsResponse]
	customers streams[pb.WatchCustomersResponse]
	groups    streams[pb.WatchGroupsResponse]
	cart      streams[pb.WatchCartsResponse]
	figures   streams[pb.WatchCartFiguresResponse]
	// The last target of WatchCart, and the last request of WatchCartFigures.
	target *pb.CartTarget
	asked  *pb.WatchCartFiguresRequest
	// The pages of ListCarts, and the requested tokens and sizes.
	pages  [][]*pb.Cart
	listed []string
	// The error of ListCarts after the last page.
	unlisted error
	// The request ids and the last headers of ClearCart, and the number of its first calls that fail.
	ids     []string
	headers metadata.MD
	failing int
}

func (s *scripted) WatchCarts(request *pb.WatchCartsRequest, stream pb.CartService_WatchCartsServer) error {
	return s.carts.tell(request.Options, stream)
}

func (s *scripted) WatchCustomers(request *pb.WatchCustomersRequest, stream pb.CustomerService_WatchCustomersServer) error {
	return s.customers.tell(request.Options, stream)
}

func (s *scripted) WatchGroups(request *pb.WatchGroupsRequest, stream pb.GroupService_WatchGroupsServer) error {
	return s.groups.tell(request.Options, stream)
}

func (s *scripted) WatchCart(request *pb.WatchCartRequest, stream pb.CartService_WatchCartServer) error {
	s.target = request.Target
	return s.cart.tell(request.Options, stream)
}

func (s *scripted) WatchCartFigures(request *pb.WatchCartFiguresRequest, stream pb.CartService_WatchCartFiguresServer) error {
	s.asked = request
	return s.figures.tell(&pb.WatchOptions{}, stream)
}

func (s *scripted) ListCarts(_ context.Context, request *pb.ListCartsRequest) (*pb.ListCartsResponse, error) {
	s.listed = append(s.listed, fmt.Sprintf("%s/%d", request.PageToken, request.PageSize))
	n := len(s.listed)
	if n > len(s.pages) {
		return nil, s.unlisted
	}
	answer := &pb.ListCartsResponse{Carts: s.pages[n-1]}
	if n < len(s.pages) || s.unlisted != nil {
		answer.NextPageToken = fmt.Sprintf("p%d", n)
	}
	return answer, nil
}

func (s *scripted) ClearCart(ctx context.Context, request *pb.ClearCartRequest) (*pb.Cart, error) {
	s.ids = append(s.ids, request.RequestId)
	s.headers, _ = metadata.FromIncomingContext(ctx)
	if len(s.ids) <= s.failing {
		return nil, status.Error(codes.Unavailable, "as scripted")
	}
	return &pb.Cart{}, nil
}

// carts is a server for watches of carts only.
func carts(scripts ...script[pb.WatchCartsResponse]) *scripted {
	return &scripted{carts: streams[pb.WatchCartsResponse]{scripts: scripts}}
}

// serve starts a server and returns its address.
func serve(t *testing.T, service *scripted, address string, options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	pb.RegisterCartServiceServer(server, service)
	pb.RegisterCustomerServiceServer(server, service)
	pb.RegisterGroupServiceServer(server, service)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func client(t *testing.T, options Options) *Client {
	t.Helper()
	if options.Key == "" {
		options.Key = "clt_k"
	}
	client, err := Connect(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

const (
	upserted = pb.ChangeKind_CHANGE_KIND_UPSERTED
	deleted  = pb.ChangeKind_CHANGE_KIND_DELETED
	left     = pb.ChangeKind_CHANGE_KIND_LEFT_FILTER
)

func changed(name string, version int64, kind pb.ChangeKind) *pb.CartChange {
	change := &pb.CartChange{Kind: kind, Name: name, Version: version}
	if kind == upserted {
		change.Cart = &pb.Cart{Name: name, Version: version}
	}
	return change
}

func says(token string, changes ...*pb.CartChange) *pb.WatchCartsResponse {
	return &pb.WatchCartsResponse{ResumeToken: token, Changes: changes}
}

func begins() *pb.WatchCartsResponse {
	begin := &pb.SnapshotBegin{Cause: pb.SnapshotBegin_CAUSE_INITIAL}
	return &pb.WatchCartsResponse{Signal: &pb.WatchCartsResponse_SnapshotBegin{SnapshotBegin: begin}}
}

// whole is a complete snapshot.
func whole(token string, changes ...*pb.CartChange) []*pb.WatchCartsResponse {
	end := &pb.WatchCartsResponse_SnapshotEnd{SnapshotEnd: &pb.SnapshotEnd{Count: int64(len(changes))}}
	return []*pb.WatchCartsResponse{begins(), says("", changes...), {ResumeToken: token, Signal: end}}
}

// parsed returns a message from its JSON.
func parsed[M any, P interface {
	*M
	proto.Message
}](t *testing.T, text string) *M {
	t.Helper()
	made := new(M)
	if err := protojson.Unmarshal([]byte(text), P(made)); err != nil {
		t.Fatal(err)
	}
	return made
}

// told formats a number of events, and the error after them.
func told[R interface {
	GetName() string
}](events iter.Seq2[Event[R], error], count int) string {
	var words []string
	for event, err := range events {
		switch event := event.(type) {
		case *Reset[R]:
			words = append(words, event.Cause.String())
		case *Ready[R]:
			words = append(words, fmt.Sprintf("ready:%d", event.Count))
		case *Change[R]:
			kind := map[pb.ChangeKind]string{upserted: "+", deleted: "-", left: "<"}[event.Kind]
			word := fmt.Sprintf("%s%s:%d", kind, event.Name, event.Version)
			// Only an upsert has a resource.
			if named := event.Resource.GetName(); (named == event.Name) != (event.Kind == upserted) {
				word += "(with " + named + ")"
			}
			words = append(words, word)
		default:
			words = append(words, status.Code(err).String())
		}
		if len(words) == count {
			break
		}
	}
	return strings.Join(words, " ")
}

// expect compares the events and the resume tokens of the requests.
func expect(t *testing.T, got, want string, came, tokens []string) {
	t.Helper()
	if got != want {
		t.Errorf("told %s, not %s", got, want)
	}
	if !slices.Equal(came, tokens) {
		t.Errorf("came with %q, not %q", came, tokens)
	}
}

// atOnce is a pause of no time.
func atOnce(_, _ time.Duration) time.Duration { return 0 }

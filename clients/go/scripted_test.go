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

// How long a stream stays: a test that waits for more than comes has failed then.
const patience = 20 * time.Second

// script is what one stream tells, and how it ends; codes.OK: it stays.
type script[M any] struct {
	messages []*M
	code     codes.Code
	// Why it ends, if the server says so.
	reason pb.ErrorReason
}

func (s script[M]) err() error {
	ended := status.New(s.code, "as scripted")
	if s.reason != pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		ended, _ = ended.WithDetails(&errdetails.ErrorInfo{Reason: s.reason.String(), Domain: "clientela.v1"})
	}
	return ended.Err()
}

// streams are told in turn, to whoever watches.
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

// scripted is a server of which is known what it will say.
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
	// The pages of ListCarts, and the tokens and sizes that were asked for.
	pages  [][]*pb.Cart
	listed []string
	// How ListCarts fails after the last page.
	unlisted error
	// The request ids and the last headers of ClearCart, and how many of its first calls fail.
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

// carts is a server of which only carts are watched.
func carts(scripts ...script[pb.WatchCartsResponse]) *scripted {
	return &scripted{carts: streams[pb.WatchCartsResponse]{scripts: scripts}}
}

// serve starts a server; how to reach it.
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

// whole is a snapshot and its end.
func whole(token string, changes ...*pb.CartChange) []*pb.WatchCartsResponse {
	end := &pb.WatchCartsResponse_SnapshotEnd{SnapshotEnd: &pb.SnapshotEnd{Count: int64(len(changes))}}
	return []*pb.WatchCartsResponse{begins(), says("", changes...), {ResumeToken: token, Signal: end}}
}

// parsed is a message from its JSON.
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

// told writes events down, so many of them, and the error at their end.
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
			// What is upserted comes whole, and nothing else comes at all.
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

// expect compares what was told, and with which tokens the watch came.
func expect(t *testing.T, got, want string, came, tokens []string) {
	t.Helper()
	if got != want {
		t.Errorf("told %s, not %s", got, want)
	}
	if !slices.Equal(came, tokens) {
		t.Errorf("came with %q, not %q", came, tokens)
	}
}

// atOnce does not wait.
func atOnce(_, _ time.Duration) time.Duration { return 0 }

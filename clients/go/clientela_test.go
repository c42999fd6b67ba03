package clientela

import (
	"context"
	"errors"
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
	"google.golang.org/protobuf/types/known/durationpb"

	pb "clientela/v1"
)

// script is what one stream tells, and how it ends; codes.OK: it stays.
type script struct {
	messages []*pb.WatchCartsResponse
	code     codes.Code
	// Why it ends, if the server says so.
	reason pb.ErrorReason
}

func (s script) err() error {
	ended := status.New(s.code, "as scripted")
	if s.reason != pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		ended, _ = ended.WithDetails(&errdetails.ErrorInfo{Reason: s.reason.String(), Domain: "clientela.v1"})
	}
	return ended.Err()
}

// scripted answers streams in turn.
type scripted struct {
	pb.UnimplementedCartServiceServer
	sync.Mutex
	streams []script
	tokens  []string
	ids     []string
	headers metadata.MD
	failing int
}

func (s *scripted) WatchCarts(request *pb.WatchCartsRequest, stream pb.CartService_WatchCartsServer) error {
	s.Lock()
	said := s.streams[len(s.tokens)]
	s.tokens = append(s.tokens, request.Options.ResumeToken)
	s.Unlock()
	for _, message := range said.messages {
		if err := stream.Send(message); err != nil {
			return err
		}
	}
	if said.code == codes.OK {
		<-stream.Context().Done()
	}
	return said.err()
}

func (s *scripted) ClearCart(ctx context.Context, request *pb.ClearCartRequest) (*pb.Cart, error) {
	s.ids = append(s.ids, request.RequestId)
	s.headers, _ = metadata.FromIncomingContext(ctx)
	if len(s.ids) <= s.failing {
		return nil, status.Error(codes.Unavailable, "as scripted")
	}
	return &pb.Cart{}, nil
}

// serve starts a server; how to reach it.
func serve(t *testing.T, service *scripted, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterCartServiceServer(server, service)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func client(t *testing.T, options Options) *Client {
	t.Helper()
	client, err := Connect(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func changed(name string, version int64, kind pb.ChangeKind) *pb.CartChange {
	change := &pb.CartChange{Kind: kind, Name: name, Version: version}
	if kind == upserted {
		change.Cart = &pb.Cart{Name: name, Version: version}
	}
	return change
}

const (
	upserted = pb.ChangeKind_CHANGE_KIND_UPSERTED
	deleted  = pb.ChangeKind_CHANGE_KIND_DELETED
	left     = pb.ChangeKind_CHANGE_KIND_LEFT_FILTER
)

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

// told writes events down, so many of them, and the error at their end.
func told(events iter.Seq2[Event[*pb.Cart], error], count int) string {
	var words []string
	for event, err := range events {
		switch event := event.(type) {
		case *Reset[*pb.Cart]:
			words = append(words, event.Cause.String())
		case *Ready[*pb.Cart]:
			words = append(words, fmt.Sprintf("ready:%d", event.Count))
		case *Change[*pb.Cart]:
			kind := map[pb.ChangeKind]string{upserted: "+", deleted: "-", left: "<"}[event.Kind]
			words = append(words, fmt.Sprintf("%s%s:%d", kind, event.Name, event.Version))
		default:
			words = append(words, status.Code(err).String())
		}
		if len(words) == count {
			break
		}
	}
	return strings.Join(words, " ")
}

// atOnce does not wait.
func atOnce(_, _ time.Duration) time.Duration { return 0 }

func TestAWatch(t *testing.T) {
	for name, c := range map[string]struct {
		streams []script
		told    string
		tokens  []string
	}{
		"goes on with the last token and drops what comes twice": {
			[]script{
				{append(whole("t", changed("a", 1, upserted)), says("t2", changed("a", 2, upserted))), codes.Internal, 0},
				{[]*pb.WatchCartsResponse{says("t3", changed("a", 2, upserted), changed("a", 3, upserted), changed("a", 2, upserted), changed("b", 1, upserted))}, codes.OK, 0},
			},
			"CAUSE_INITIAL +a:1 ready:1 +a:2 +a:3 +b:1", []string{"", "t2"},
		},
		"begins a snapshot again that broke off": {
			[]script{
				{[]*pb.WatchCartsResponse{begins(), says("", changed("a", 7, upserted))}, codes.Unknown, 0},
				{whole("t", changed("b", 1, upserted)), codes.OK, 0},
			},
			"CAUSE_INITIAL +a:7 CAUSE_INITIAL +b:1 ready:1", []string{"", ""},
		},
		"forgets a token whose history is gone": {
			[]script{{whole("t"), codes.Internal, 0}, {nil, codes.OutOfRange, 0}, {whole("new"), codes.OK, 0}},
			"CAUSE_INITIAL ready:0 CAUSE_INITIAL ready:0", []string{"", "t", ""},
		},
		"forgets a token of another history": {
			[]script{{whole("t"), codes.Internal, 0}, {nil, codes.Aborted, 0}, {whole("new"), codes.OK, 0}},
			"CAUSE_INITIAL ready:0 CAUSE_INITIAL ready:0", []string{"", "t", ""},
		},
		"tells what the clock lets leave and enter again, and no end of what it never told": {
			[]script{
				{whole("t", changed("a", 3, upserted)), codes.Unavailable, 0},
				{[]*pb.WatchCartsResponse{says("t2", changed("a", 3, left), changed("a", 3, left), changed("a", 3, upserted),
					changed("x", 9, left), changed("x", 9, deleted), changed("a", 4, deleted), changed("a", 3, upserted),
					changed("a", 2, left), changed("b", 1, upserted))}, codes.OK, 0},
			},
			"CAUSE_INITIAL +a:3 ready:1 <a:3 +a:3 -a:4 +b:1", []string{"", "t"},
		},
		"goes on after it was read too slowly, without a loss and without a repetition": {
			[]script{
				{append(whole("t", changed("a", 1, upserted)), says("t2", changed("a", 2, upserted))), codes.ResourceExhausted, pb.ErrorReason_SLOW_CONSUMER},
				// As it comes across a reconnect: what is known already, then what was missed.
				{[]*pb.WatchCartsResponse{says("t3", changed("a", 2, upserted), changed("a", 3, deleted), changed("b", 1, upserted))}, codes.OK, 0},
			},
			"CAUSE_INITIAL +a:1 ready:1 +a:2 -a:3 +b:1", []string{"", "t2"},
		},
		"ends when there is too much of something else": {
			[]script{{whole("t"), codes.ResourceExhausted, pb.ErrorReason_TOO_MANY_STREAMS}},
			"CAUSE_INITIAL ready:0 ResourceExhausted", []string{""},
		},
		"ends with what waiting does not cure": {
			[]script{{whole("t"), codes.Unavailable, 0}, {nil, codes.Unauthenticated, 0}},
			"CAUSE_INITIAL ready:0 Unauthenticated", []string{"", "t"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := &scripted{streams: c.streams}
			client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
			got := told(client.WatchCarts(t.Context(), Watch{wait: atOnce}), len(strings.Fields(c.told)))
			if got != c.told {
				t.Errorf("told %s, not %s", got, c.told)
			}
			if !slices.Equal(service.tokens, c.tokens) {
				t.Errorf("came with %q, not %q", service.tokens, c.tokens)
			}
		})
	}
}

func TestAServerThatIsAwayForTenMinutesIsWaitedFor(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	var away time.Duration
	var longest []time.Duration
	var notes []error
	back := false
	wait := func(_, most time.Duration) time.Duration {
		longest = append(longest, most)
		if away += most; away > 10*time.Minute && !back {
			back = true
			serve(t, &scripted{streams: []script{{whole("t"), codes.OK, 0}}}, address)
		}
		return 0
	}
	// As without a network; a real one would be asked five times for each attempt.
	client := client(t, Options{Address: address, Dial: []grpc.DialOption{grpc.WithDisableRetry()}})
	watch := Watch{wait: wait, Notify: func(err error) { notes = append(notes, err) }}
	if got := told(client.WatchCarts(t.Context(), watch), 2); got != "CAUSE_INITIAL ready:0" {
		t.Errorf("told %s", got)
	}
	growing := []time.Duration{200, 400, 800, 1600, 3200, 6400, 10_000, 10_000}
	for n, most := range growing {
		if longest[n] != most*time.Millisecond {
			t.Errorf("wait %d was up to %v, not %v ms", n, longest[n], most)
		}
	}
	if slices.Max(longest) != waitMax {
		t.Errorf("a wait was up to %v", slices.Max(longest))
	}
	if status.Code(notes[0]) != codes.Unavailable || notes[len(notes)-1] != nil {
		t.Errorf("was told %v at first and %v at last", notes[0], notes[len(notes)-1])
	}
}

func TestAServerThatIsSilentIsLeft(t *testing.T) {
	service := &scripted{streams: []script{
		{whole("t"), codes.OK, 0},
		{[]*pb.WatchCartsResponse{says("t2", changed("a", 1, upserted))}, codes.OK, 0},
	}}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	var first error
	watch := Watch{wait: atOnce, Notify: func(err error) {
		if first == nil {
			first = err
		}
	}, Options: &pb.WatchOptions{HeartbeatInterval: durationpb.New(time.Millisecond)}} // Taken as one second.
	if got := told(client.WatchCarts(t.Context(), watch), 3); got != "CAUSE_INITIAL ready:0 +a:1" {
		t.Errorf("told %s", got)
	}
	if first == nil || !strings.Contains(first.Error(), "nothing was heard for 3s") {
		t.Errorf("was left for %v", first)
	}
}

func TestAWatchEndsWithItsContextAndWithoutAnError(t *testing.T) {
	client := client(t, Options{Address: serve(t, &scripted{streams: []script{{whole("t"), codes.OK, 0}}}, "127.0.0.1:0")})
	ctx, cancel := context.WithCancel(t.Context())
	for event, err := range client.WatchCarts(ctx, Watch{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, is := event.(*Ready[*pb.Cart]); is {
			cancel()
		}
	}
	if ctx.Err() == nil {
		t.Error("it ended by itself")
	}
}

func TestACallIsRepeatedWithOneRequestIDAndTheKey(t *testing.T) {
	service := &scripted{failing: 2}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0"), Key: "clt_k", Shop: "shops/a", Actor: "ada", OnBehalfOf: "bob"})
	request := &pb.ClearCartRequest{}
	for range 2 {
		if _, err := client.Carts.ClearCart(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Carts.ClearCart(t.Context(), &pb.ClearCartRequest{RequestId: "mine"}); err != nil {
		t.Fatal(err)
	}
	ids := service.ids
	if len(ids) != 5 || ids[0] == "" || ids[0] != ids[1] || ids[1] != ids[2] || ids[3] == ids[0] || ids[4] != "mine" {
		t.Errorf("the ids were %q", ids)
	}
	if request.RequestId != "" {
		t.Error("the caller's request was changed")
	}
	for name, value := range map[string]string{"authorization": "Bearer clt_k", "clientela-shop": "shops/a",
		"clientela-actor": "ada", "clientela-on-behalf-of": "bob"} {
		if got := service.headers.Get(name); !slices.Equal(got, []string{value}) {
			t.Errorf("%s was %q", name, got)
		}
	}
}

func TestACallWithoutAServerIsUnavailable(t *testing.T) {
	client := client(t, Options{Address: "127.0.0.1:1"})
	_, err := client.Carts.ClearCart(t.Context(), &pb.ClearCartRequest{})
	var typed *Error
	if !errors.As(err, &typed) || typed.Code != codes.Unavailable || HasReason(err, pb.ErrorReason_NOT_FOUND) {
		t.Errorf("was %v", err)
	}
}

func TestOnlyLoopbackIsPlaintextWithoutBeingAsked(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true,
		"dns:///127.0.0.1:1": true, "shop.example:443": false, "10.0.0.1:1": false, "localhost.example:1": false,
		"[2001:db8::1]:1": false} {
		if got := isLoopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

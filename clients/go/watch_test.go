package clientela

import (
	"context"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "clientela.dev/clientela/v1"
)

func TestAWatch(t *testing.T) {
	for name, c := range map[string]struct {
		scripts []script[pb.WatchCartsResponse]
		told    string
		tokens  []string
	}{
		"goes on with the last token and drops what comes twice": {
			[]script[pb.WatchCartsResponse]{
				{append(whole("t", changed("a", 1, upserted)), says("t2", changed("a", 2, upserted))), codes.Internal, 0},
				{[]*pb.WatchCartsResponse{says("t3", changed("a", 2, upserted), changed("a", 3, upserted), changed("a", 2, upserted), changed("b", 1, upserted))}, codes.OK, 0},
			},
			"CAUSE_INITIAL +a:1 ready:1 +a:2 +a:3 +b:1", []string{"", "t2"},
		},
		"begins a snapshot again that broke off": {
			[]script[pb.WatchCartsResponse]{
				{[]*pb.WatchCartsResponse{begins(), says("", changed("a", 7, upserted))}, codes.Unknown, 0},
				{whole("t", changed("b", 1, upserted)), codes.OK, 0},
			},
			"CAUSE_INITIAL +a:7 CAUSE_INITIAL +b:1 ready:1", []string{"", ""},
		},
		"forgets a token whose history is gone": {
			[]script[pb.WatchCartsResponse]{{whole("t"), codes.Internal, 0}, {nil, codes.OutOfRange, 0}, {whole("new"), codes.OK, 0}},
			"CAUSE_INITIAL ready:0 CAUSE_INITIAL ready:0", []string{"", "t", ""},
		},
		"forgets a token of another history": {
			[]script[pb.WatchCartsResponse]{{whole("t"), codes.Internal, 0}, {nil, codes.Aborted, 0}, {whole("new"), codes.OK, 0}},
			"CAUSE_INITIAL ready:0 CAUSE_INITIAL ready:0", []string{"", "t", ""},
		},
		"tells what the clock lets leave and enter again, and no end of what it never told": {
			[]script[pb.WatchCartsResponse]{
				{whole("t", changed("a", 3, upserted)), codes.Unavailable, 0},
				{[]*pb.WatchCartsResponse{says("t2", changed("a", 3, left), changed("a", 3, left), changed("a", 3, upserted),
					changed("x", 9, left), changed("x", 9, deleted), changed("a", 4, deleted), changed("a", 3, upserted),
					changed("a", 2, left), changed("b", 1, upserted))}, codes.OK, 0},
			},
			"CAUSE_INITIAL +a:3 ready:1 <a:3 +a:3 -a:4 +b:1", []string{"", "t"},
		},
		"goes on after it was read too slowly, without a loss and without a repetition": {
			[]script[pb.WatchCartsResponse]{
				{append(whole("t", changed("a", 1, upserted)), says("t2", changed("a", 2, upserted))), codes.ResourceExhausted, pb.ErrorReason_SLOW_CONSUMER},
				// As after a reconnect: known changes first, then the missed ones.
				{[]*pb.WatchCartsResponse{says("t3", changed("a", 2, upserted), changed("a", 3, deleted), changed("b", 1, upserted))}, codes.OK, 0},
			},
			"CAUSE_INITIAL +a:1 ready:1 +a:2 -a:3 +b:1", []string{"", "t2"},
		},
		"goes on after a proxy gave the stream up": {
			[]script[pb.WatchCartsResponse]{
				{whole("t", changed("a", 1, upserted)), codes.Canceled, 0},
				{[]*pb.WatchCartsResponse{says("t2", changed("a", 2, upserted))}, codes.OK, 0},
			},
			"CAUSE_INITIAL +a:1 ready:1 +a:2", []string{"", "t"},
		},
		"ends when there is too much of something else": {
			[]script[pb.WatchCartsResponse]{{whole("t"), codes.ResourceExhausted, pb.ErrorReason_TOO_MANY_STREAMS}},
			"CAUSE_INITIAL ready:0 ResourceExhausted", []string{""},
		},
		"ends with what waiting does not cure": {
			[]script[pb.WatchCartsResponse]{{whole("t"), codes.Unavailable, 0}, {nil, codes.Unauthenticated, 0}},
			"CAUSE_INITIAL ready:0 Unauthenticated", []string{"", "t"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := carts(c.scripts...)
			client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
			got := told(client.WatchCarts(t.Context(), Watch{wait: atOnce}), len(strings.Fields(c.told)))
			expect(t, got, c.told, service.carts.tokens, c.tokens)
		})
	}
}

// staying is a stream of a shop without carts.
var staying = script[pb.WatchCartsResponse]{messages: whole("t")}

func TestCustomersAreWatchedAsCartsAre(t *testing.T) {
	service := &scripted{}
	watchedAsCartsAre(t, service, &service.customers, "customer", (*Client).WatchCustomers)
}

func TestGroupsAreWatchedAsCartsAre(t *testing.T) {
	service := &scripted{}
	watchedAsCartsAre(t, service, &service.groups, "group", (*Client).WatchGroups)
}

func watchedAsCartsAre[M any, R interface{ GetName() string }, P interface {
	*M
	proto.Message
}](t *testing.T, service *scripted, streams *streams[M], resource string,
	watch func(*Client, context.Context, Watch) iter.Seq2[Event[R], error],
) {
	t.Helper()
	streams.scripts = twoStreams[M, P](t, resource)
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	got := told(watch(client, t.Context(), Watch{wait: atOnce}), 6)
	expect(t, got, twoStreamsTold, streams.tokens, []string{"", "t2"})
}

// The events of twoStreams, once each.
const twoStreamsTold = "CAUSE_INITIAL +a:1 ready:1 +b:2 -a:2 +b:3"

// twoStreams are a snapshot, an upsert and a cut; then the upsert again, a deletion and another upsert.
func twoStreams[M any, P interface {
	*M
	proto.Message
}](t *testing.T, resource string) []script[M] {
	t.Helper()
	said := func(text string) *M { return parsed[M, P](t, text) }
	upsert := func(name string, version int) string {
		return fmt.Sprintf(`{"kind": "CHANGE_KIND_UPSERTED", "name": %q, "version": %d, %q: {"name": %q}}`,
			name, version, resource, name)
	}
	return []script[M]{
		{[]*M{
			said(`{"snapshotBegin": {"cause": "CAUSE_INITIAL"}}`),
			said(`{"changes": [` + upsert("a", 1) + `]}`),
			said(`{"snapshotEnd": {"count": 1}, "resumeToken": "t"}`),
			said(`{"changes": [` + upsert("b", 2) + `], "resumeToken": "t2"}`),
		}, codes.Unavailable, 0},
		{[]*M{
			said(`{"changes": [` + upsert("b", 2) + `, {"kind": "CHANGE_KIND_DELETED", "name": "a", "version": 2}]}`),
			said(`{"changes": [` + upsert("b", 3) + `], "resumeToken": "t3"}`),
		}, codes.OK, 0},
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
			serve(t, carts(staying), address)
		}
		return 0
	}
	// As without a network; a real server would get five requests for each attempt.
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
	service := carts(staying, script[pb.WatchCartsResponse]{
		messages: []*pb.WatchCartsResponse{says("t2", changed("a", 1, upserted))},
	})
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
	if first == nil || !strings.Contains(first.Error(), "the server sent nothing for 3s") {
		t.Errorf("was left for %v", first)
	}
}

func TestAWatchEndsWithItsContextAndWithoutAnError(t *testing.T) {
	client := client(t, Options{Address: serve(t, carts(staying), "127.0.0.1:0")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
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

func TestAWatchEndsWithItsClient(t *testing.T) {
	client := client(t, Options{Address: serve(t, carts(staying), "127.0.0.1:0")})
	var last error
	for event, err := range client.WatchCarts(t.Context(), Watch{wait: atOnce}) {
		if _, is := event.(*Ready[*pb.Cart]); is {
			client.Close()
		}
		last = err
	}
	if status.Code(last) != codes.Canceled {
		t.Errorf("ended with %v", last)
	}
}

func TestAWatchOfOneCartContinuesAfterAnInterruption(t *testing.T) {
	service := &scripted{cart: streams[pb.WatchCartsResponse]{scripts: []script[pb.WatchCartsResponse]{
		{append(whole("t", changed("a", 1, upserted)), says("t2", changed("a", 2, upserted))), codes.Internal, 0},
		{[]*pb.WatchCartsResponse{says("t3", changed("a", 2, upserted), changed("a", 3, upserted))}, codes.OK, 0},
	}}}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	got := told(client.WatchCart(t.Context(), CustomerCart("customers/ada"), Watch{wait: atOnce}), 5)
	expect(t, got, "CAUSE_INITIAL +a:1 ready:1 +a:2 +a:3", service.cart.tokens, []string{"", "t2"})
	if service.target.GetOwner().GetCustomer() != "customers/ada" {
		t.Errorf("the target was %v", service.target)
	}
}

func TestAWatchOfOneCartTakesNoFilter(t *testing.T) {
	client := client(t, Options{Address: "127.0.0.1:1"})
	for _, watch := range []Watch{{Filter: "state = OPEN"}, {Names: []string{"carts/a"}}} {
		if got := told(client.WatchCart(t.Context(), Cart("carts/a"), watch), 1); got != "InvalidArgument" {
			t.Errorf("yielded %s", got)
		}
	}
}

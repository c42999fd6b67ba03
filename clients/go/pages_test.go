package clientela

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "clientela.dev/clientela/v1"
)

func named(names ...string) (carts []*pb.Cart) {
	for _, name := range names {
		carts = append(carts, &pb.Cart{Name: name})
	}
	return carts
}

func TestAllYieldsEveryItemOfEveryPage(t *testing.T) {
	// A page may be empty and still not be the last.
	service := &scripted{pages: [][]*pb.Cart{named("a", "b"), nil, named("c")}}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	request := &pb.ListCartsRequest{PageSize: 2, Filter: "state = OPEN"}
	before := proto.CloneOf(request)
	var names []string
	for cart, err := range All(t.Context(), client.Carts.ListCarts, request, (*pb.ListCartsResponse).GetCarts) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, cart.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) || !slices.Equal(service.listed, []string{"/2", "p1/2", "p2/2"}) {
		t.Errorf("yielded %q from the pages %q", names, service.listed)
	}
	if !proto.Equal(request, before) {
		t.Error("the caller's request was changed")
	}
}

func TestAllFetchesNoPageThatIsNotRead(t *testing.T) {
	service := &scripted{pages: [][]*pb.Cart{named("a", "b"), named("c")}}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	for range All(t.Context(), client.Carts.ListCarts, &pb.ListCartsRequest{}, (*pb.ListCartsResponse).GetCarts) {
		break
	}
	if len(service.listed) != 1 {
		t.Errorf("fetched %q", service.listed)
	}
}

func TestAllEndsWithTheErrorOfAPage(t *testing.T) {
	service := &scripted{pages: [][]*pb.Cart{named("a")}, unlisted: status.Error(codes.PermissionDenied, "as scripted")}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	var got []string
	for cart, err := range All(t.Context(), client.Carts.ListCarts, &pb.ListCartsRequest{}, (*pb.ListCartsResponse).GetCarts) {
		if err != nil {
			got = append(got, status.Code(err).String())
		} else {
			got = append(got, cart.Name)
		}
	}
	if !slices.Equal(got, []string{"a", "PermissionDenied"}) {
		t.Errorf("yielded %q", got)
	}
}

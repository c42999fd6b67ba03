package clientela

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	pb "clientela/v1"
)

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

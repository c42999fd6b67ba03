package clientela

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "clientela.dev/clientela/v1"
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

func TestAClientWithoutAKeyIsRefusedBeforeAnyCall(t *testing.T) {
	t.Setenv("CLIENTELA_API_KEY", "")
	client, err := Connect(Options{Address: "127.0.0.1:1"})
	if client != nil || !HasReason(err, pb.ErrorReason_KEY_MISSING) || status.Code(err) != codes.Unauthenticated {
		t.Fatalf("was %v", err)
	}
	if !strings.Contains(err.Error(), "CLIENTELA_API_KEY") {
		t.Errorf("the text does not say what to do: %v", err)
	}
}

func TestTheTextOfAnErrorNamesEveryViolation(t *testing.T) {
	refused, _ := status.New(codes.InvalidArgument, "2 fields are invalid").WithDetails(
		&errdetails.ErrorInfo{Reason: "INVALID_FIELD", Domain: "clientela.v1"},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "customer.email", Reason: "MALFORMED", Description: "is not an e-mail address"},
			{Field: "customer.phone", Reason: "TOO_LONG", Description: "is too long"},
		}})
	for err, want := range map[error]string{
		refused.Err(): "INVALID_FIELD: customer.email: is not an e-mail address; customer.phone: is too long",
		status.Error(codes.Unavailable, "no connection"): "Unavailable: no connection",
	} {
		if got := typed(err).Error(); got != want {
			t.Errorf("was %q, not %q", got, want)
		}
	}
}

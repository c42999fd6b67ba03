package clientela

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "clientela.dev/clientela/v1"
)

// counted is a message of figures.
func counted(open int64) *pb.WatchCartFiguresResponse {
	return &pb.WatchCartFiguresResponse{Figures: &pb.CartFigures{OpenCarts: open}}
}

func TestFiguresContinueAfterAnInterruption(t *testing.T) {
	draining := &pb.WatchCartFiguresResponse{Draining: &pb.Draining{}}
	service := &scripted{figures: streams[pb.WatchCartFiguresResponse]{scripts: []script[pb.WatchCartFiguresResponse]{
		{[]*pb.WatchCartFiguresResponse{counted(1), counted(2), draining}, codes.Unavailable, 0},
		{nil, codes.Canceled, 0},
		{[]*pb.WatchCartFiguresResponse{counted(3)}, codes.OK, 0},
	}}}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	var notes []error
	options := Figures{Storefront: "berlin", MinInterval: 200 * time.Millisecond, HeartbeatInterval: 5 * time.Second,
		Notify: func(err error) { notes = append(notes, err) }, wait: atOnce}
	var open []int64
	for figures, err := range client.WatchCartFigures(t.Context(), options) {
		if err != nil {
			t.Fatal(err)
		}
		if open = append(open, figures.OpenCarts); len(open) == 3 {
			break
		}
	}
	if open[0] != 1 || open[1] != 2 || open[2] != 3 {
		t.Errorf("yielded %v", open)
	}
	if len(notes) != 3 || notes[0] == nil || notes[1] == nil || notes[2] != nil {
		t.Errorf("notified of %v", notes)
	}
	if asked := service.asked; asked.Storefront != "berlin" || asked.MinInterval.AsDuration() != options.MinInterval ||
		asked.HeartbeatInterval.AsDuration() != options.HeartbeatInterval {
		t.Errorf("asked for %v", asked)
	}
}

func TestFiguresEndWithWhatAnotherAttemptCannotCure(t *testing.T) {
	service := &scripted{figures: streams[pb.WatchCartFiguresResponse]{scripts: []script[pb.WatchCartFiguresResponse]{
		{[]*pb.WatchCartFiguresResponse{counted(1)}, codes.Unauthenticated, pb.ErrorReason_KEY_REVOKED},
	}}}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	var last error
	for _, err := range client.WatchCartFigures(t.Context(), Figures{wait: atOnce}) {
		last = err
	}
	if !HasReason(last, pb.ErrorReason_KEY_REVOKED) {
		t.Errorf("ended with %v", last)
	}
}

func TestFiguresThatAreSilentAreAskedForAgain(t *testing.T) {
	stays := script[pb.WatchCartFiguresResponse]{messages: []*pb.WatchCartFiguresResponse{counted(1)}}
	service := &scripted{figures: streams[pb.WatchCartFiguresResponse]{scripts: []script[pb.WatchCartFiguresResponse]{stays, stays}}}
	client := client(t, Options{Address: serve(t, service, "127.0.0.1:0")})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var first error
	notify := func(err error) {
		if first == nil {
			first = err
		}
	}
	count := 0
	for range client.WatchCartFigures(ctx, Figures{HeartbeatInterval: time.Millisecond, Notify: notify, wait: atOnce}) {
		if count++; count == 2 {
			break
		}
	}
	if count != 2 || status.Code(first) != codes.Unavailable || !strings.Contains(first.Error(), "sent nothing for 3s") {
		t.Errorf("%d figures, the first loss was %v", count, first)
	}
}

// Watches of the story: they run in the background and keep what they yield.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"clientela.dev/clientela"
	pb "clientela.dev/clientela/v1"
)

// watched has the events of a watch.
type watched struct {
	sync.Mutex
	filter           string
	carts            map[string]proto.Message
	versions         map[string]int64
	resets           []string
	changes, doubles int
	ready, once      bool
	figures          object
	ended            error
}

func (w *watched) hear(event clientela.Event[*pb.Cart]) {
	w.Lock()
	defer w.Unlock()
	switch event := event.(type) {
	case *clientela.Reset[*pb.Cart]:
		w.resets = append(w.resets, event.Cause.String())
		w.carts, w.versions = map[string]proto.Message{}, map[string]int64{}
		w.ready = false
	case *clientela.Ready[*pb.Cart]:
		w.ready, w.once = true, true
	case *clientela.Change[*pb.Cart]:
		if w.once {
			w.changes++
		}
		if known, is := w.versions[event.Name]; is && event.Version <= known {
			w.doubles++
		}
		w.versions[event.Name] = event.Version
		if event.Kind == pb.ChangeKind_CHANGE_KIND_UPSERTED {
			w.carts[event.Name] = event.Resource
		} else {
			delete(w.carts, event.Name)
		}
	}
}

func (s *story) watch(said step) error {
	client, err := s.client(said.As)
	if err != nil {
		return err
	}
	watch := clientela.Watch{Filter: said.Filter, Names: said.Names}
	events := client.WatchCarts(context.Background(), watch)
	if said.Target != nil {
		request := &pb.WatchCartRequest{}
		if err := parse(object{"target": said.Target}, request); err != nil {
			return err
		}
		events = client.WatchCart(context.Background(), request.Target, watch)
	}
	w := &watched{filter: said.Filter, carts: map[string]proto.Message{}, versions: map[string]int64{}}
	s.watches[said.Watch] = w
	go func() {
		for event, err := range events {
			if err != nil {
				w.end(err)
				return
			}
			w.hear(event)
		}
	}()
	return nil
}

func (s *story) figures(said step) error {
	client, err := s.client(said.As)
	if err != nil {
		return err
	}
	request := &pb.WatchCartFiguresRequest{}
	if err := parse(said.Request, request); err != nil {
		return err
	}
	options := clientela.Figures{MinInterval: request.MinInterval.AsDuration(),
		HeartbeatInterval: request.HeartbeatInterval.AsDuration()}
	w := &watched{}
	s.watches[said.Figures] = w
	go func() {
		for figures, err := range client.WatchCartFigures(context.Background(), options) {
			if err == nil {
				err = w.hearFigures(figures)
			}
			if err != nil {
				w.end(err)
				return
			}
		}
	}()
	return nil
}

func (w *watched) hearFigures(figures *pb.CartFigures) error {
	w.Lock()
	defer w.Unlock()
	var err error
	w.figures, err = plain(figures)
	return err
}

func (w *watched) end(err error) {
	w.Lock()
	defer w.Unlock()
	w.ended = err
}

func (s *story) await(w *watched, expect object) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := s.notYet(w, expect)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// notYet describes how a watch differs from the expectation, or returns nil.
func (s *story) notYet(w *watched, expect object) error {
	w.Lock()
	defer w.Unlock()
	if wanted, is := expect["ended"].(object); is {
		if w.ended == nil {
			return errors.New("it has not ended")
		}
		return wrongError(wanted, w.ended)
	}
	if w.ended != nil {
		return w.ended
	}
	number := func(name string, otherwise int) int {
		if value, is := expect[name].(float64); is {
			return int(value)
		}
		return otherwise
	}
	if cause, is := expect["reset"].(string); is && !strings.Contains(strings.Join(w.resets, " "), cause) {
		return fmt.Errorf("the resets are %v", w.resets)
	}
	_, state := expect["state"].(string)
	switch {
	case expect["figures"] != nil && w.figures == nil:
		return errors.New("there are no figures")
	case expect["figures"] != nil:
		return differs("figures", expect["figures"], w.figures)
	case (state || expect["known"] != nil) && !w.ready:
		return errors.New("the snapshot is not whole")
	case len(w.carts) != number("known", len(w.carts)):
		return fmt.Errorf("%d carts are known, not %v", len(w.carts), expect["known"])
	case w.changes < number("changes", 0):
		return fmt.Errorf("%d changes came, not %v", w.changes, expect["changes"])
	case w.doubles != number("doubles", w.doubles):
		return fmt.Errorf("%d changes came twice", w.doubles)
	case state:
		return s.differsFromList(w)
	}
	for _, cart := range w.carts {
		known, err := plain(cart)
		if err == nil && expect["cart"] != nil {
			err = differs("cart", expect["cart"], known)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// differsFromList describes how the carts of a watch differ from those of ListCarts.
func (s *story) differsFromList(w *watched) error {
	client, err := s.client("")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	count := 0
	for cart, err := range clientela.All(ctx, client.Carts.ListCarts, &pb.ListCartsRequest{Filter: w.filter},
		(*pb.ListCartsResponse).GetCarts) {
		if err != nil {
			return err
		}
		if known := w.carts[cart.Name]; known == nil || !proto.Equal(known, cart) {
			return fmt.Errorf("%s is %v, the watch knows %v", cart.Name, cart, known)
		}
		count++
	}
	if count != len(w.carts) {
		return fmt.Errorf("the watch knows %d carts, %d are listed", len(w.carts), count)
	}
	return nil
}

func plain(message proto.Message) (object, error) {
	text, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	answer := object{}
	return answer, json.Unmarshal(text, &answer)
}

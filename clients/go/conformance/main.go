// The program conformance tells the story of all clients; see clients/conformance/README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"clientela"
	pb "clientela/v1"
)

const patience = 60 * time.Second

type object = map[string]any

// step is one step of the story as it stands there.
type step struct {
	Sentence string `json:"step"`
	Call     string
	Pages    string
	Watch    string
	Await    string
	Server   string
	Request  object
	As       string
	Filter   string
	Names    []string
	Items    string
	Repeat   int
	Save     map[string]string
	Expect   object
}

// watched is what a watch has told.
type watched struct {
	sync.Mutex
	filter           string
	carts            map[string]proto.Message
	versions         map[string]int64
	resets           []string
	changes, doubles int
	ready, once      bool
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

// story is the steps, and what they leave.
type story struct {
	saved   map[string]string
	clients map[string]*clientela.Client
	watches map[string]*watched
	orders  *bufio.Reader
}

func main() {
	text, err := os.ReadFile(os.Getenv("CLIENTELA_STORY"))
	if err != nil {
		panic(err)
	}
	var table struct {
		Values map[string]struct {
			Text  string
			Times int
		}
		Steps []json.RawMessage
	}
	if err := json.Unmarshal(text, &table); err != nil {
		panic(err)
	}
	s := story{map[string]string{}, map[string]*clientela.Client{}, map[string]*watched{}, bufio.NewReader(os.Stdin)}
	for name, value := range table.Values {
		s.saved[name] = strings.Repeat(value.Text, value.Times)
	}
	for _, raw := range table.Steps {
		var said step
		if err := json.Unmarshal(raw, &said); err != nil {
			panic(err)
		}
		if err := s.do(raw, said); err != nil {
			fmt.Printf("failed %s: %s\n", said.Sentence, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Printf("ok %s\n", said.Sentence)
		}
	}
	fmt.Println("end")
}

// do does a step; how it did not go as expected.
func (s *story) do(raw json.RawMessage, said step) error {
	for n := 1; n <= max(1, said.Repeat); n++ {
		s.saved["n"] = strconv.Itoa(n)
		filled, err := s.fill(raw)
		if err == nil {
			err = s.doOnce(filled)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fill puts what was saved into its places.
func (s *story) fill(raw json.RawMessage) (step, error) {
	var tree any
	var filled step
	if err := json.Unmarshal(raw, &tree); err != nil {
		return filled, err
	}
	var pairs []string
	for name, value := range s.saved {
		pairs = append(pairs, "${"+name+"}", value)
	}
	replacer := strings.NewReplacer(pairs...)
	var walk func(any) any
	walk = func(value any) any {
		switch value := value.(type) {
		case map[string]any:
			for name, inner := range value {
				value[name] = walk(inner)
			}
		case []any:
			for n, inner := range value {
				value[n] = walk(inner)
			}
		case string:
			return replacer.Replace(value)
		}
		return value
	}
	text, err := json.Marshal(walk(tree))
	if err != nil {
		return filled, err
	}
	return filled, json.Unmarshal(text, &filled)
}

func (s *story) doOnce(said step) error {
	switch {
	case said.Call != "":
		return s.call(said)
	case said.Pages != "":
		return s.pages(said)
	case said.Watch != "":
		return s.watch(said)
	case said.Await != "":
		return s.await(s.watches[said.Await], said.Expect)
	default:
		fmt.Printf("do %s\n", said.Server)
		answer, err := s.orders.ReadString('\n')
		if answer = strings.TrimSpace(answer); err == nil && answer != "done" {
			err = errors.New(answer)
		}
		return err
	}
}

// client gives the client of a key.
func (s *story) client(key string) (*clientela.Client, error) {
	if s.clients[key] == nil {
		client, err := clientela.Connect(clientela.Options{Address: os.Getenv("CLIENTELA_SERVER"), Key: key})
		if err != nil {
			return nil, err
		}
		s.clients[key] = client
	}
	return s.clients[key], nil
}

// ask makes a call by its name; the answer as protobuf's JSON.
func (s *story) ask(name string, request object, key string) (object, error) {
	client, err := s.client(key)
	if err != nil {
		return nil, err
	}
	service, method, _ := strings.Cut(name, ".")
	area := map[string]any{"CartService": client.Carts, "CustomerService": client.Customers,
		"GroupService": client.Groups, "AdminService": client.Admin}[service]
	function := reflect.ValueOf(area).MethodByName(method)
	if !function.IsValid() {
		return nil, fmt.Errorf("there is no %s", name)
	}
	message := reflect.New(function.Type().In(1).Elem())
	text, err := json.Marshal(request)
	if err == nil {
		err = protojson.Unmarshal(text, message.Interface().(proto.Message))
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answers := function.Call([]reflect.Value{reflect.ValueOf(ctx), message})
	if err, _ := answers[1].Interface().(error); err != nil {
		return nil, err
	}
	return plain(answers[0].Interface().(proto.Message))
}

func plain(message proto.Message) (object, error) {
	text, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	answer := object{}
	return answer, json.Unmarshal(text, &answer)
}

func (s *story) call(said step) error {
	answer, err := s.ask(said.Call, said.Request, said.As)
	if wanted, is := said.Expect["error"].(object); is {
		if err == nil {
			return errors.New("it was not refused")
		}
		return wrongError(wanted, err)
	}
	if err == nil {
		err = differs("", said.Expect["response"], answer)
	}
	if err != nil {
		return err
	}
	for name, path := range said.Save {
		var value any = answer
		for part := range strings.SplitSeq(path, ".") {
			if list, is := value.([]any); is {
				n, _ := strconv.Atoi(part)
				value = list[n]
			} else {
				value = value.(object)[part]
			}
		}
		s.saved[name] = value.(string)
	}
	return nil
}

func (s *story) pages(said step) error {
	found, err := s.list(said.Pages, said.Request, said.Items)
	if err != nil {
		return err
	}
	names := map[any]bool{}
	for _, item := range found {
		names[item.(object)["name"]] = true
	}
	if wanted := int(said.Expect["count"].(float64)); len(found) != wanted || len(names) != wanted {
		return fmt.Errorf("%d came, %d different ones, not %d", len(found), len(names), wanted)
	}
	return nil
}

func (s *story) list(method string, request object, items string) ([]any, error) {
	var found []any
	for {
		page, err := s.ask(method, request, "")
		if err != nil {
			return nil, err
		}
		some, _ := page[items].([]any)
		found = append(found, some...)
		token, _ := page["nextPageToken"].(string)
		if token == "" {
			return found, nil
		}
		request["pageToken"] = token
	}
}

func (s *story) watch(said step) error {
	client, err := s.client(said.As)
	if err != nil {
		return err
	}
	w := &watched{filter: said.Filter, carts: map[string]proto.Message{}, versions: map[string]int64{}}
	s.watches[said.Watch] = w
	go func() {
		watch := clientela.Watch{Filter: said.Filter, Names: said.Names}
		for event, err := range client.WatchCarts(context.Background(), watch) {
			if err != nil {
				w.Lock()
				w.ended = err
				w.Unlock()
				return
			}
			w.hear(event)
		}
	}()
	return nil
}

func (s *story) await(w *watched, expect object) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := s.notYet(w, expect)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// notYet says in what a watch is not as expected.
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
	rpc, state := expect["state"].(string)
	switch {
	case (state || expect["known"] != nil) && !w.ready:
		return errors.New("the snapshot is not whole")
	case len(w.carts) != number("known", len(w.carts)):
		return fmt.Errorf("%d carts are known, not %v", len(w.carts), expect["known"])
	case w.changes < number("changes", 0):
		return fmt.Errorf("%d changes came, not %v", w.changes, expect["changes"])
	case w.doubles != number("doubles", w.doubles):
		return fmt.Errorf("%d changes came twice", w.doubles)
	case !state:
		return nil
	}
	listed, err := s.list(rpc, object{"filter": w.filter}, "carts")
	if err != nil {
		return err
	}
	if len(listed) != len(w.carts) {
		return fmt.Errorf("the watch knows %d carts, %d are listed", len(w.carts), len(listed))
	}
	for _, cart := range listed {
		name := cart.(object)["name"].(string)
		known, err := plain(w.carts[name])
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(known, cart) {
			return fmt.Errorf("%s is %v, the watch knows %v", name, cart, known)
		}
	}
	return nil
}

// differs says where something is not as wanted: objects may have more.
func differs(at string, wanted, got any) error {
	switch wanted := wanted.(type) {
	case object:
		if got, is := got.(object); is {
			for name, value := range wanted {
				if err := differs(at+"."+name, value, got[name]); err != nil {
					return err
				}
			}
			return nil
		}
	case []any:
		if got, is := got.([]any); is && len(got) == len(wanted) {
			for n, value := range wanted {
				if err := differs(fmt.Sprintf("%s.%d", at, n), value, got[n]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if !reflect.DeepEqual(wanted, got) {
		return fmt.Errorf("%s is %.200v, not %.200v", at, got, wanted)
	}
	return nil
}

// wrongError says in what an error is not as wanted.
func wrongError(wanted object, err error) error {
	var typed *clientela.Error
	if !errors.As(err, &typed) {
		return fmt.Errorf("not a typed error: %w", err)
	}
	fields, metadata := []any{}, object{}
	for _, violation := range typed.Violations {
		fields = append(fields, violation.Field)
	}
	for name, value := range typed.Metadata {
		metadata[name] = value
	}
	got := object{"code": codeNames[typed.Code], "reason": typed.Reason.String(), "metadata": metadata}
	for name, value := range wanted {
		if name != "violations" {
			if err := differs(name, value, got[name]); err != nil {
				return err
			}
			continue
		}
		for _, field := range value.([]any) {
			if !strings.Contains(fmt.Sprint(fields)+" ", field.(string)) {
				return fmt.Errorf("no violation of %v", field)
			}
		}
	}
	return nil
}

// The contract's names of the codes that the story expects; Go has others.
var codeNames = map[codes.Code]string{
	codes.AlreadyExists: "ALREADY_EXISTS", codes.InvalidArgument: "INVALID_ARGUMENT", codes.NotFound: "NOT_FOUND",
	codes.Aborted: "ABORTED", codes.PermissionDenied: "PERMISSION_DENIED", codes.Unavailable: "UNAVAILABLE",
	codes.Unauthenticated: "UNAUTHENTICATED", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.Internal: "INTERNAL",
}

// The program conformance runs the story of all clients; see clients/conformance/README.md.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"clientela.dev/clientela"
	pb "clientela.dev/clientela/v1"
)

const patience = 60 * time.Second

type object = map[string]any

// step is one step of the story, with the fields of the file.
type step struct {
	Sentence string `json:"step"`
	Call     string
	Pages    string
	Watch    string
	Figures  string
	Await    string
	Server   string
	Keyless  bool
	Refused  object
	Request  object
	As       string
	Filter   string
	Names    []string
	Target   object
	Repeat   int
	Save     map[string]string
	Expect   object
}

// story is the state of a run.
type story struct {
	key     string
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
	s := story{os.Getenv("CLIENTELA_API_KEY"), map[string]string{}, map[string]*clientela.Client{}, map[string]*watched{},
		bufio.NewReader(os.Stdin)}
	// The story has the key of a client, or none.
	os.Unsetenv("CLIENTELA_API_KEY")
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

// do runs a step and its repetitions. The error says how the result differs from the expectation.
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

// fill replaces the names of saved values by the values.
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
	case said.Figures != "":
		return s.figures(said)
	case said.Keyless:
		return s.keyless(said)
	case said.Refused != nil:
		_, err := helped(said.Refused)
		return wrongText(said.Expect["text"], err)
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

// client returns the client of a key.
func (s *story) client(key string) (*clientela.Client, error) {
	if s.clients[key] == nil {
		client, err := clientela.Connect(clientela.Options{Address: os.Getenv("CLIENTELA_SERVER"), Key: cmp.Or(key, s.key)})
		if err != nil {
			return nil, err
		}
		s.clients[key] = client
	}
	return s.clients[key], nil
}

// ask makes a call by the name of its RPC and returns the answer as protobuf's JSON.
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
	if err := parse(request, message.Interface().(proto.Message)); err != nil {
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
	names, count := map[string]bool{}, 0
	client, err := s.client(said.As)
	if err != nil {
		return err
	}
	if said.Pages != "CustomerService.ListCustomers" {
		return fmt.Errorf("the program has no pages of %s", said.Pages)
	}
	request := &pb.ListCustomersRequest{}
	if err := parse(said.Request, request); err != nil {
		return err
	}
	for customer, err := range clientela.All(context.Background(), client.Customers.ListCustomers, request,
		(*pb.ListCustomersResponse).GetCustomers) {
		if wanted, is := said.Expect["error"].(object); is && err != nil {
			return wrongError(wanted, err)
		}
		if err != nil {
			return err
		}
		names[customer.Name] = true
		count++
	}
	if wanted, is := said.Expect["count"].(float64); !is || count != int(wanted) || len(names) != count {
		return fmt.Errorf("%d came, %d different ones, not %v", count, len(names), said.Expect["count"])
	}
	return nil
}

// keyless connects without a key.
func (s *story) keyless(said step) error {
	_, err := clientela.Connect(clientela.Options{Address: os.Getenv("CLIENTELA_SERVER")})
	if err == nil {
		return errors.New("it was not refused")
	}
	return wrongError(said.Expect["error"].(object), err)
}

// parse reads a message from the JSON of the story.
func parse(request object, message proto.Message) error {
	if request == nil {
		return nil
	}
	filled, err := helped(request)
	if err != nil {
		return err
	}
	text, err := json.Marshal(filled)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, message)
}

// helped replaces {"$money": …} and the like by the result of the client's own function of that name.
func helped(value any) (any, error) {
	switch value := value.(type) {
	case object:
		for name, argument := range value {
			switch name {
			case "$cart":
				return plain(clientela.Cart(argument.(string)))
			case "$customerCart":
				return plain(clientela.CustomerCart(argument.(string)))
			case "$visitorCart":
				return plain(clientela.VisitorCart(argument.(string)))
			case "$money":
				arguments := argument.([]any)
				money, err := clientela.Money(arguments[0].(string), arguments[1].(string))
				if err != nil {
					return nil, err
				}
				return plain(money)
			}
			inner, err := helped(argument)
			if err != nil {
				return nil, err
			}
			value[name] = inner
		}
	case []any:
		for n, inner := range value {
			inner, err := helped(inner)
			if err != nil {
				return nil, err
			}
			value[n] = inner
		}
	}
	return value, nil
}

package bus_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// shout is a kind of work that the swarm does not know by itself.
type shout struct{}

func (shout) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "shout", Slots: 4}, nil
}

func (shout) Handle(_ context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	return strings.ToUpper(string(t.Payload)), nil
}

// A program serves a kind of work to the whole swarm, and submits some.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := bus.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	go func() { log.Print(c.Serve(ctx, shout{})) }()
	for chunk, err := range c.Submit(ctx, bus.Task{Type: "shout", Payload: []byte(`"hello"`)}) {
		if err != nil {
			log.Fatal(err)
		}
		if chunk.End != nil {
			fmt.Println(chunk.End.NodeID, string(chunk.End.Result))
		}
	}
}

// A question is answered piece by piece, by whichever node has a model for it.
func ExampleConn_Submit() {
	ctx := context.Background()
	c, err := bus.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	question := []byte(`{"prompt": "What is the capital of France?"}`)
	for chunk, err := range c.Submit(ctx, bus.Task{Type: bus.TypeInference, Payload: question}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", chunk.Data)
	}
}

package bus_test

import (
	"context"
	"errors"
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
	text, err := bus.Payload[string](t)
	if err != nil {
		return nil, err
	}
	return strings.ToUpper(text), nil
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
	attempt := 0
	for chunk, err := range c.Submit(ctx, bus.Task{Type: bus.TypeInference, Payload: question}) {
		if err != nil {
			log.Fatal(err)
		}
		if chunk.Attempt > attempt {
			if attempt > 0 {
				fmt.Println("\nits node was lost, another begins anew:")
			}
			attempt = chunk.Attempt
		}
		if chunk.End != nil {
			fmt.Println("\nfrom", chunk.End.NodeID)
			break
		}
		piece, err := bus.Piece[bus.InferenceChunk](chunk)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(piece.Text)
	}
}

// A durable task is handed over for good: its program may end, and come back for the result.
func ExampleConn_Enqueue() {
	ctx := context.Background()
	c, err := bus.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	question := []byte(`{"prompt": "What is the capital of France?"}`)
	receipt, err := c.Enqueue(ctx, bus.Task{Type: bus.TypeInference, Payload: question})
	if err != nil {
		log.Fatal(err)
	}
	for chunk, err := range c.Attach(ctx, receipt.ID, 0) { // or later, by another program
		if err != nil {
			log.Fatal(err)
		}
		if chunk.End == nil {
			continue
		}
		answer, err := bus.Result[bus.InferenceResult](*chunk.End)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.Text)
	}
}

// What happens to the tasks of the swarm, told without their content.
func ExampleConn_Watch() {
	ctx := context.Background()
	c, err := bus.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for e, err := range c.Watch(ctx, bus.EventFilter{Kind: bus.EventDone}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Task, e.Type, "done by", e.Node)
	}
}

// An error tells its kind by a code, and mostly what to try next.
func ExampleError() {
	err := error(bus.Errorf(bus.CodeNoWorker, "no node has model %q", "gemma3:1b").WithHint("ollama pull gemma3:1b"))
	if errors.Is(err, &bus.Error{Code: bus.CodeNoWorker}) {
		fmt.Println("nobody can run it")
	}
	e := bus.AsError(err) // any error: what is none of the swarm's has CodeInternal
	fmt.Println(e.Code, e.Code.HTTPStatus(), e.Message)
	fmt.Println("try:", e.Hint)
	// Output:
	// nobody can run it
	// no_worker 503 no node has model "gemma3:1b"
	// try: ollama pull gemma3:1b
}

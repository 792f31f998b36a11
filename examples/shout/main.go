// Shout serves a kind of work of its own to the swarm, submits one such task, and prints its
// result. It needs a daemon on this machine, and nothing else.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

type shout struct{}

func (shout) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "shout", Slots: 4}, nil
}

func (shout) Handle(_ context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	return json.RawMessage(strings.ToUpper(string(t.Payload))), nil
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	c, err := bus.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	defer cancel()
	go func() {
		if err := c.Serve(ctx, shout{}); ctx.Err() == nil {
			log.Print(err)
		}
	}()
	for chunk, err := range c.Submit(ctx, bus.Task{Type: "shout", Payload: []byte(`"hello"`)}) {
		if err != nil {
			log.Fatal(err)
		}
		if chunk.End != nil {
			fmt.Println(string(chunk.End.Result))
		}
	}
}

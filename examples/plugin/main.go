// Words is the program of a plugin: it reads a task a line and counts the words of its text. Build it into a
// folder of its own, beside its plugin.toml:
//
//	mkdir -p ~/.config/mycoswarm/plugins/words
//	cp examples/plugin/plugin.toml ~/.config/mycoswarm/plugins/words
//	go build -o ~/.config/mycoswarm/plugins/words/words ./examples/plugin
//
// docs/plugins.md tells what the lines are.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"strings"
)

type task struct {
	ID      string
	Cancel  string
	Payload json.RawMessage // anything: whoever submits a task says what
}

// answer is the last line about a task, beside its id.
func (t task) answer() map[string]any {
	var p struct{ Text *string }
	if err := json.Unmarshal(t.Payload, &p); err != nil || p.Text == nil {
		return map[string]any{"id": t.ID, "error": map[string]string{"code": "invalid", "message": `want {"text":"..."}`}}
	}
	return map[string]any{"id": t.ID, "result": len(strings.Fields(*p.Text))}
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var t task
		if err := in.Decode(&t); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if t.Cancel != "" {
			continue // it is done with it already
		}
		if err := out.Encode(t.answer()); err != nil {
			log.Fatal(err)
		}
	}
}

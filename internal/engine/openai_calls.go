package engine

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// maxCalls is how many calls of tools an answer may have.
const maxCalls = 128

// openAICallBit is a piece of a call. Servers differ: Index may be missing, begin at 1, or be the same
// for all calls; ID and Name come once or with every piece.
type openAICallBit struct {
	Index    *int
	ID       string
	Function struct {
		Name      string
		Arguments json.RawMessage // a text, perhaps one piece of it; of some servers an object
	}
}

// arguments returns the text.
func (p *openAICallBit) arguments() string {
	var s string
	if json.Unmarshal(p.Function.Arguments, &s) == nil { // null too
		return s
	}
	return string(p.Function.Arguments)
}

// toolCalls gathers calls that come in pieces.
type toolCalls struct {
	calls []*gathered
	at    map[int]*gathered // by index
	size  int               // bytes
}

type gathered struct {
	id, name string
	args     strings.Builder
}

// add takes pieces in, and reports whether there is room for them.
func (t *toolCalls) add(pieces []openAICallBit) bool {
	for _, p := range pieces {
		args := p.arguments()
		if t.size += len(p.ID) + len(p.Function.Name) + len(args); t.size > maxAnswer {
			return false
		}
		c := t.find(&p)
		if c == nil {
			if len(t.calls) == maxCalls {
				return false
			}
			c = &gathered{}
			t.calls = append(t.calls, c)
		}
		if p.Index != nil {
			if t.at == nil {
				t.at = map[int]*gathered{}
			}
			t.at[*p.Index] = c
		}
		if c.id == "" {
			c.id = p.ID
		}
		if c.name == "" {
			c.name = p.Function.Name
		}
		c.args.WriteString(args)
	}
	return true
}

// find returns the call that p is a piece of; nil: it begins one.
func (t *toolCalls) find(p *openAICallBit) *gathered {
	if p.Index != nil {
		c := t.at[*p.Index]
		if c != nil && c.id != "" && p.ID != "" && p.ID != c.id {
			return nil
		}
		return c
	}
	for _, c := range t.calls {
		if p.ID != "" && c.id == p.ID {
			return c
		}
	}
	if p.ID != "" || len(t.calls) == 0 {
		return nil
	}
	last := t.calls[len(t.calls)-1]
	if p.Function.Name != "" && last.name != "" && json.Valid([]byte(last.args.String())) { // it is whole
		return nil
	}
	return last
}

// whole returns the calls that were gathered.
func (t *toolCalls) whole() (out []bus.ToolCall, err error) {
	for _, c := range t.calls {
		args := strings.TrimSpace(c.args.String())
		if c.name == "" && c.id == "" && args == "" {
			continue
		}
		if args == "" || args == "null" {
			args = "{}"
		}
		if c.name == "" || args[0] != '{' || !json.Valid([]byte(args)) {
			return nil, fmt.Errorf("the call of a tool %q has arguments that are no JSON object", c.name)
		}
		out = append(out, bus.ToolCall{ID: c.id, Index: len(out), Name: c.name, Arguments: json.RawMessage(args)})
	}
	return out, nil
}

package toolbox_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/toolbox"
)

// What tools take is told in words that the APIs of OpenAI, Anthropic and Google all take: they refuse a whole request for one
// tool that has others.
func TestSchemasForAll(t *testing.T) {
	t.Parallel()
	box, c := connect(t, toolbox.Config{Swarm: says("x"), Local: files{}, Manages: true, Owns: true}, nil)
	box.Offer(append(nodes(), bus.NodeInfo{Name: "nas", State: bus.NodeReady, Types: []string{bus.TypeSearch, "words"}}))
	list, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Tools) != 9 {
		t.Errorf("there are %d tools", len(list.Tools))
	}
	of := regexp.MustCompile(`^[a-z_]{1,40}$`) // programs put the server's name in front, up to 64
	for _, tool := range list.Tools {
		s := tool.InputSchema.(map[string]any)
		props, has := s["properties"].(map[string]any)
		if !of.MatchString(tool.Name) || s["type"] != "object" || s["additionalProperties"] != false || !has {
			t.Errorf("%s: %v", tool.Name, s)
		}
		for name, p := range props {
			p := p.(map[string]any)
			typ, one := p["type"].(string)
			_, items := p["items"].(map[string]any)
			if !one || p["description"] == "" || items != (typ == "array") {
				t.Errorf("%s of %s: %v", name, tool.Name, p)
			}
			for word := range p {
				if !slices.Contains([]string{"type", "description", "enum", "items"}, word) {
					t.Errorf("%s of %s has %s", name, tool.Name, word)
				}
			}
		}
		for word := range s {
			if !slices.Contains([]string{"type", "properties", "required", "additionalProperties"}, word) {
				t.Errorf("%s has %s", tool.Name, word)
			}
		}
	}
}

// What is null is left open, as if it were not there.
func TestNulls(t *testing.T) {
	t.Parallel()
	s := says("Paris it is.")
	_, c := connect(t, toolbox.Config{Swarm: s, Local: files{}}, nil)
	if texts, failed := call(t, c, "ask", args{"prompt": "Which city?", "model": nil, "node": nil, "max_tokens": nil}); failed || texts[0] != "Paris it is." {
		t.Errorf("ask says %q, failed %v", texts, failed)
	}
	if texts, failed := call(t, c, "ask", args{"prompt": nil}); !failed || !strings.Contains(texts[0], "prompt") || len(s.tasks) != 1 {
		t.Errorf("without a prompt: %q, failed %v, %d tasks", texts, failed, len(s.tasks))
	}
	if texts, failed := call(t, c, "search_library", args{"question": "Where?", "libraries": nil}); failed && !strings.Contains(texts[0], "no libraries") {
		t.Errorf("search_library says %q", texts)
	}
}

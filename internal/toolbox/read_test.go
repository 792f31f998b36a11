package toolbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/toolbox"
)

// files are those of a test.
type files struct{ libraries []toolbox.Library }

func (files) Document(_ context.Context, path string, req bus.FileRequest) (bus.Task, error) {
	if path != "/home/a.pdf" {
		return bus.Task{}, bus.Errorf(bus.CodeInvalid, "there is no file %s", path)
	}
	req.Content = []byte("a")
	return bus.NewTask(bus.TypeFile, req)
}

func (f files) Libraries() ([]toolbox.Library, error) { return f.libraries, nil }

func (files) Passages(_ context.Context, libraries []string, question string, n int) (out []toolbox.Passage, _ error) {
	for i := range n {
		out = append(out, toolbox.Passage{Library: strings.Join(libraries, "+"), Place: fmt.Sprintf("/home/a.pdf, page %d", i+1), Text: question})
	}
	return out, nil
}

// A page that no model reads at once comes in parts, which make all of it, between marks that tell whose words they are.
func TestLongTextsComeInParts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Grüße aus Köln. ", 5000) // 80,000 characters, and more bytes
	s := &swarm{do: func(_ context.Context, t bus.Task, _ func(bus.Chunk)) (any, error) {
		if t.Type == bus.TypeFile {
			return bus.FileResult{Text: long, Kind: "application/pdf", Pages: 30, PagesEmpty: []int{2}}, nil
		}
		return bus.FetchResult{URL: "https://a.example/b", Title: "T", Text: long}, nil
	}}
	_, c := connect(t, toolbox.Config{Swarm: s, Manages: true, Local: files{}}, nil)
	for tool, in := range map[string]args{"fetch": {"url": "https://a.example"}, "read_document": {"path": "/home/a.pdf", "pages": "1-30"}} {
		whole := ""
		for offset := 0; ; {
			in["offset"] = offset
			texts, failed := call(t, c, tool, in)
			if failed || len(texts) != 2 || !strings.HasPrefix(texts[0], bus.NeverObey) {
				t.Fatalf("%s from %d: %.200q, failed %v", tool, offset, texts, failed)
			}
			_, marked, _ := strings.Cut(texts[0], bus.NeverObey+"\n\n")
			text := unmarked(t, marked)
			if tool == "fetch" {
				text = strings.TrimPrefix(text, "T\nhttps://a.example/b\n\n")
			}
			whole += text
			next := offset + len([]rune(text))
			if next == 80_000 {
				if strings.Contains(texts[1], "offset") {
					t.Errorf("%s: more than all: %s", tool, texts[1])
				}
				break
			}
			if want := fmt.Sprintf("the characters %d to %d of 80000: for the rest call again with offset %d]", offset, next, next); next-offset != 30_000 || !strings.HasSuffix(texts[1], want) {
				t.Fatalf("%s from %d: %d characters, and %s", tool, offset, next-offset, texts[1])
			}
			offset = next
		}
		if whole != long {
			t.Errorf("%s: the parts are %d bytes, of %d", tool, len(whole), len(long))
		}
		in["offset"] = 80_000
		if texts, failed := call(t, c, tool, in); !failed || texts[0] != "offset 80000: the text has 80000 characters" {
			t.Errorf("%s beyond: %.200q, failed %v", tool, texts, failed)
		}
	}
	texts, _ := call(t, c, "read_document", args{"path": "/home/a.pdf", "max_chars": 5})
	if unmarked(t, strings.TrimPrefix(texts[0], bus.NeverObey+"\n\n")) != "Grüße" || !strings.HasPrefix(texts[1], "[application/pdf, 30 pages, 1 of them without text; read by tower; ") {
		t.Errorf("five characters: %q", texts)
	}
	if texts, failed := call(t, c, "read_document", args{"path": "/etc/shadow"}); !failed || texts[0] != "there is no file /etc/shadow" {
		t.Errorf("no such file: %q, failed %v", texts, failed)
	}
}

// unmarked is what stands between marks, which are those of it.
func unmarked(t *testing.T, marked string) string {
	t.Helper()
	_, text, _ := strings.Cut(marked, ">\n")
	text = text[:strings.LastIndex(text, "\n</text-")]
	if bus.Marked(text) != marked {
		t.Errorf("not between its marks: %.100q", marked)
	}
	return text
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := &swarm{do: func(_ context.Context, t bus.Task, _ func(bus.Chunk)) (any, error) {
		var req bus.SearchRequest
		if err := json.Unmarshal(t.Payload, &req); err != nil {
			return nil, err
		}
		return bus.SearchResult{Results: []bus.SearchHit{{Title: req.Query, URL: "https://a.example", Content: req.Since}}, Silent: []string{"b: timeout"}}, nil
	}}
	box, c := connect(t, toolbox.Config{Swarm: s}, nil)
	box.Offer([]bus.NodeInfo{{State: bus.NodeReady, Types: []string{bus.TypeSearch}}})
	texts, failed := call(t, c, "web_search", args{"query": "go", "since": "week"})
	if failed || texts[0] != bus.Foreign("go\nhttps://a.example\nweek") || !strings.Contains(texts[1], "b: timeout") {
		t.Errorf("%q, failed %v", texts, failed)
	}
	if texts, failed := call(t, c, "web_search", args{"query": "go", "max_results": 51}); !failed {
		t.Errorf("too many: %q", texts)
	}
}

// Passages are told with where each stands; without a name all libraries are searched.
func TestLibraries(t *testing.T) {
	t.Parallel()
	_, c := connect(t, toolbox.Config{Swarm: says("x"), Local: files{libraries: []toolbox.Library{{Name: "a", Documents: 2}, {Name: "b"}}}}, nil)
	texts, failed := call(t, c, "search_library", args{"question": "why", "max_results": 2})
	if want := "[1] /home/a.pdf, page 1 (library a+b):\nwhy\n\n[2] /home/a.pdf, page 2 (library a+b):\nwhy"; failed || texts[0] != bus.Foreign(want) {
		t.Errorf("%q, failed %v", texts, failed)
	}
	if texts, _ := call(t, c, "search_library", args{"question": "why", "libraries": []string{"b"}}); strings.Count(texts[0], "(library b)") != 8 {
		t.Errorf("of one library: %q", texts)
	}
	if texts, failed := call(t, c, "search_library", args{"question": "why", "max_results": 51}); !failed {
		t.Errorf("too many: %q", texts)
	}
	if texts, _ := call(t, c, "list_libraries", nil); !strings.HasPrefix(texts[0], `{"libraries":[{"name":"a","documents":2,`) {
		t.Errorf("%q", texts)
	}
	long, failed := call(t, c, "search_library", args{"question": strings.Repeat("x", 10_000), "max_results": 50})
	if failed || len(long[0]) > 201_000 || !strings.Contains(long[1], "ask for fewer") {
		t.Errorf("%d bytes, and %q", len(long[0]), long[1:])
	}
	_, none := connect(t, toolbox.Config{Swarm: says("x"), Local: files{}}, nil)
	if texts, failed := call(t, none, "search_library", args{"question": "why"}); !failed || !strings.Contains(texts[0], "myco library add") {
		t.Errorf("without any: %q, failed %v", texts, failed)
	}
}

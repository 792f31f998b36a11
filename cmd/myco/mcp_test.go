package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
)

// host is a program that has started myco mcp.
type host struct {
	*mcp.ClientSession
	t       *testing.T
	leave   func() // closes the standard input of myco
	ended   chan struct{}
	code    int
	out     bytes.Buffer // all that myco wrote
	errs    bytes.Buffer
	changed chan struct{} // the tools are others
}

// hosted starts myco mcp for a data directory.
func hosted(t *testing.T, dir string) *host {
	t.Helper()
	h := &host{t: t, ended: make(chan struct{}), changed: make(chan struct{}, 10)}
	ourIn, theirOut := io.Pipe()
	theirIn, ourOut := io.Pipe()
	h.leave = func() { must(t, theirOut.Close()) }
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	go func() {
		defer cancel()
		defer close(h.ended)
		h.code = run(ctx, []string{"--data-dir", dir, "mcp"}, streams{
			in: ourIn, out: io.MultiWriter(&h.out, ourOut), err: &h.errs, piped: true, environ: []string{"XDG_STATE_HOME=" + dir},
		})
		_ = ourOut.Close() // as when the process ends
	}()
	t.Cleanup(func() {
		h.leave()
		_ = h.Close() // myco has left
		<-h.ended
	})
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { h.changed <- struct{}{} },
	})
	session, err := c.Connect(t.Context(), &mcp.IOTransport{Reader: theirIn, Writer: theirOut}, nil)
	must(t, err)
	h.ClientSession = session
	return h
}

// call calls a tool, and returns all that its answer says.
func (h *host) call(name string, args map[string]any) (text string, failed bool) {
	h.t.Helper()
	res, err := h.CallTool(h.t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
	must(h.t, err)
	var all []string
	for _, c := range res.Content {
		all = append(all, c.(*mcp.TextContent).Text)
	}
	return strings.Join(all, "\n"), res.IsError
}

func (h *host) tools() (names []string) {
	h.t.Helper()
	list, err := h.ListTools(h.t.Context(), nil)
	must(h.t, err)
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// Standard output has the protocol alone, and when its reader leaves that ends the command, and what it asked for.
func TestMCP(t *testing.T) {
	t.Parallel()
	d := setup(t)
	h := hosted(t, d.dir)
	var asked sync.Map
	begun, cancelled := make(chan bus.TaskID, 1), make(chan bus.TaskID, 1)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		asked.Store(r.Task.Type, r.Task)
		switch {
		case r.Task.Type == bus.TypeFile:
			b, _ := json.Marshal(bus.FileResult{Text: "what it says", Kind: "text/plain"}) // strings
			d.send(r.Inbox, bus.Chunk{Attempt: 1, End: &bus.TaskInfo{ID: r.Task.ID, Type: bus.TypeFile, State: bus.StateDone, NodeID: other, Result: b}})
		case strings.Contains(string(r.Task.Payload), "for ever"):
			begun <- r.Task.ID
		default:
			d.send(r.Inbox, piece(1, 0, "Paris it is."), done(1, paris))
		}
		return bus.SubmitReply{ID: r.Task.ID}
	})
	on(d, payload(bus.VerbCancel), func(r bus.TaskRequest) any {
		cancelled <- r.ID
		return bus.TaskInfo{ID: r.ID, State: bus.StateCancelled}
	})
	if got, failed := h.call("ask", map[string]any{"prompt": "Which city?", "node": "tower"}); failed || got != "Paris it is.\n[Answered by the model gemma3:27b on tower]" {
		t.Errorf("ask says %q, failed %v", got, failed)
	}
	if v, _ := asked.Load(bus.TypeInference); v.(bus.Task).Node != other {
		t.Errorf("the task is %+v", v)
	}
	file := filepath.Join(t.TempDir(), "a.txt")
	writeFile(t, file, "what it says")
	if got, failed := h.call("read_document", map[string]any{"path": file}); failed || got != bus.Foreign("what it says")+"\n[text/plain; read by tower]" {
		t.Errorf("read_document says %q, failed %v", got, failed)
	}
	for path, want := range map[string]string{filepath.Join(filepath.Dir(file), "no"): "there is no file", "-": "named by its path", "": "is empty", filepath.Dir(file): "is a folder", os.DevNull: "no file"} {
		if got, failed := h.call("read_document", map[string]any{"path": path}); !failed || !strings.Contains(got, want) {
			t.Errorf("read_document %q says %q, failed %v", path, got, failed)
		}
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = h.CallTool(t.Context(), &mcp.CallToolParams{Name: "ask", Arguments: map[string]any{"prompt": "for ever"}}) // there is no answer
	}()
	id := receive(t, begun, "the question")
	h.leave()
	if got := receive(t, cancelled, "its end"); got != id {
		t.Errorf("%s is cancelled, and %s was under way", got, id)
	}
	receive(t, h.ended, "the end of myco")
	receive(t, over, "the end of the call")
	if h.code != 0 || h.errs.Len() > 0 {
		t.Errorf("exit code %d, and on standard error %q", h.code, h.errs.String())
	}
	for line := range strings.Lines(h.out.String()) {
		var m struct{ JSONRPC string }
		if json.Unmarshal([]byte(line), &m) != nil || m.JSONRPC != "2.0" {
			t.Errorf("standard output has %q", line)
		}
	}
}

// The user's libraries are found by their words where there is no daemon.
func TestMCPLibraries(t *testing.T) {
	t.Parallel()
	d := setup(t)
	h := hosted(t, d.dir)
	if got, failed := h.call("list_libraries", nil); failed || !strings.Contains(got, "myco library add") {
		t.Errorf("without any: %q, failed %v", got, failed)
	}
	if got, failed := h.call("search_library", map[string]any{"question": "x", "libraries": []string{"papers"}}); !failed || !strings.Contains(got, `there is no library "papers"`) {
		t.Errorf("one that is not there: %q, failed %v", got, failed)
	}
}

// Without a daemon the tools are there, and say so; with the first one that comes they work, and there are more.
func TestMCPWithoutDaemon(t *testing.T) {
	t.Parallel()
	d := setup(t)
	searches := append(slices.Clone(nodes), bus.NodeInfo{ID: "myco-aaaaaaaaaaaa", Name: "nas", State: bus.NodeReady, Types: []string{bus.TypeSearch}})
	d.nodes.Store(&searches)
	js, err := jetstream.New(d.nc)
	must(t, err)
	kv, err := js.KeyValue(t.Context(), bus.BucketPeers)
	must(t, err)
	d.put(kv, searches[2])
	empty := t.TempDir()
	h := hosted(t, empty)
	if names := h.tools(); slices.Contains(names, "web_search") || !slices.Contains(names, "ask") {
		t.Errorf("without a daemon there are %v", names)
	}
	for tool, args := range map[string]map[string]any{"ask": {"prompt": "hi"}, "list_nodes": nil, "fetch": {"url": "https://a.example"}} {
		if got, failed := h.call(tool, args); !failed || !strings.Contains(got, "no daemon is running") || !strings.Contains(got, "\nWhat may help: mycod") {
			t.Errorf("%s says %q, failed %v", tool, got, failed)
		}
	}
	for _, name := range []string{bus.UserCreds, bus.DaemonFile} {
		b, err := os.ReadFile(filepath.Join(d.dir, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(empty, name), b, 0o600))
	}
	receive(t, h.changed, "other tools")
	if names := h.tools(); !slices.Contains(names, "web_search") {
		t.Errorf("with one there are %v", names)
	}
	if got, failed := h.call("list_nodes", nil); failed || !strings.Contains(got, `"name":"tower"`) {
		t.Errorf("list_nodes says %q, failed %v", got, failed)
	}
}

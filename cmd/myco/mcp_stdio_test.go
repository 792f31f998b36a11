package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
)

// rawHost is a program that has started myco mcp, and writes and reads lines itself.
type rawHost struct {
	t     *testing.T
	in    *io.PipeWriter
	pipe  *io.PipeReader
	out   *bufio.Reader // of it
	ended chan int
}

func rawHosted(t *testing.T, dir string) *rawHost {
	t.Helper()
	ourIn, in := io.Pipe()
	out, ourOut := io.Pipe()
	h := &rawHost{t: t, in: in, pipe: out, out: bufio.NewReader(out), ended: make(chan int, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	go func() {
		defer cancel()
		h.ended <- run(ctx, []string{"--data-dir", dir, "mcp"}, streams{
			in: ourIn, out: ourOut, err: io.Discard, piped: true, environ: []string{"XDG_STATE_HOME=" + dir},
		})
		close(h.ended)
		_ = ourOut.Close() // as when the process ends
	}()
	t.Cleanup(func() {
		_, _ = in.Close(), out.Close()
		<-h.ended
	})
	h.say(`{"jsonrpc":"2.0","id":"first","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`)
	h.hear()
	h.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return h
}

func (h *rawHost) say(line string) {
	h.t.Helper()
	_, err := io.WriteString(h.in, line+"\n")
	must(h.t, err)
}

// saidTo is an answer to a program.
type saidTo struct {
	ID     any
	Result map[string]any
	Error  struct {
		Code    int
		Message string
	}
}

func (h *rawHost) hear() (a saidTo) {
	h.t.Helper()
	line, err := h.out.ReadBytes('\n')
	must(h.t, err)
	must(h.t, json.Unmarshal(line, &a))
	return a
}

// A line that is no message is answered by an error, and what is under way goes on.
func TestMCPLinesThatAreNone(t *testing.T) {
	t.Parallel()
	d := setup(t)
	begun := make(chan struct{}, 1)
	inbox := make(chan string, 1)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		begun <- struct{}{}
		inbox <- r.Inbox
		return bus.SubmitReply{ID: r.Task.ID}
	})
	h := rawHosted(t, d.dir)
	h.say(`{"jsonrpc":"2.0","id":"asked","method":"tools/call","params":{"name":"ask","arguments":{"prompt":"Which city?"}}}`)
	receive(t, begun, "the question")
	for line, want := range map[string]struct {
		id   any
		code int
		says string
	}{
		`{"jsonrpc":`: {nil, -32700, "JSON-RPC"},
		"\xff\xfe":    {nil, -32700, "JSON-RPC"},
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`:                                                                {nil, -32600, "one alone"},
		`{"jsonrpc":"1.0","id":2,"method":"ping"}`:                                                                  {2.0, -32600, "2.0"},
		`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`:                                                                {1.5, -32600, "whole number"},
		`{"jsonrpc":"2.0","id":1764567890123456789,"method":"ping"}`:                                                {1764567890123456789.0, -32600, "below 2^53"},
		`{"jsonrpc":"2.0","id":{},"method":"ping"}`:                                                                 {nil, -32600, "JSON-RPC"},
		`{"jsonrpc":"2.0","id":3,"method":"` + strings.Repeat("x", 5<<20) + `"}`:                                    {nil, -32700, "4 MiB"},
		`{"jsonrpc":"2.0","id":4,"params":{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}`: {nil, -32700, "depth"},
	} {
		h.say(line)
		if a := h.hear(); a.ID != want.id || a.Error.Code != want.code || !strings.Contains(a.Error.Message, want.says) {
			t.Errorf("%.50s: %+v", line, a)
		}
	}
	h.say("\r\n" + ` {"jsonrpc":"2.0","id":5,"method":"ping"} ` + "\r")
	if a := h.hear(); a.ID != 5.0 || a.Result == nil {
		t.Errorf("a message with space around it: %+v", a)
	}
	d.send(receive(t, inbox, "its inbox"), piece(1, 0, "Paris it is."), done(1, paris))
	if a := h.hear(); a.ID != "asked" || a.Result == nil {
		t.Errorf("the call says %+v", a)
	}
}

// A program's first list of tools is whole: many never ask for another.
func TestMCPFirstList(t *testing.T) {
	t.Parallel()
	d := setup(t)
	searches := []bus.NodeInfo{{ID: "myco-aaaaaaaaaaaa", Name: "nas", State: bus.NodeReady, Types: []string{bus.TypeSearch}}}
	d.nodes.Store(&searches)
	js, err := jetstream.New(d.nc)
	must(t, err)
	kv, err := js.KeyValue(t.Context(), bus.BucketPeers)
	must(t, err)
	d.put(kv, searches[0])
	h := rawHosted(t, d.dir)
	h.say(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if a := h.hear(); a.ID != 1.0 {
		t.Errorf("before the list: %+v", a)
	} else if text, _ := json.Marshal(a.Result); !strings.Contains(string(text), "web_search") {
		t.Errorf("the first list: %s", text)
	}
}

// A program that closes standard input, and keeps the pipe of what it never reads, is not waited for.
func TestMCPLeavesWhoReadsNothing(t *testing.T) {
	t.Parallel()
	d := setup(t)
	h := rawHosted(t, d.dir)
	h.say(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	_, err := h.pipe.Read(make([]byte, 1)) // the rest is still being written
	must(t, err)
	must(t, h.in.Close())
	if code := receive(t, h.ended, "the end of myco"); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

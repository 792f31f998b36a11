package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

// mirror returns what it is given.
type mirror struct{}

func (mirror) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "mirror", Slots: 1}, nil
}

func (mirror) Handle(_ context.Context, t *bus.Task, _ bus.Emit) (any, error) { return t.Payload, nil }

// What no message takes, for its size or for what JSON makes of it, comes back as it was.
func TestLargePayloads(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- n.conn.Serve(ctx, mirror{}) }()
	for _, text := range []string{
		strings.Repeat("x", bus.MaxInline-1), strings.Repeat("<", 200<<10), strings.Repeat("y", 3<<20),
	} {
		payload := json.RawMessage(`"` + text + `"`)
		same := func(how string, raw json.RawMessage) {
			t.Helper()
			var back string
			if err := json.Unmarshal(raw, &back); err != nil || back != text {
				t.Errorf("%d times %q, %s: %d bytes came back, %v", len(text), text[:1], how, len(back), err)
			}
		}
		for chunk, err := range n.conn.Submit(n.ctx(), bus.Task{Type: "mirror", Payload: payload}) {
			check(t, err)
			if chunk.End != nil {
				same("attached", chunk.End.Result)
			}
		}
		r, err := n.conn.Enqueue(n.ctx(), bus.Task{Type: "mirror", Payload: payload})
		check(t, err)
		for chunk, err := range n.conn.Attach(n.ctx(), r.ID, 0) {
			check(t, err)
			if chunk.End != nil {
				same("durable", chunk.End.Result)
			}
		}
		info, err := n.conn.Task(n.ctx(), r.ID)
		check(t, err)
		same("asked for", info.Result)
	}
	stop()
	check(t, <-served)
}

// wordyFailure fails with as many words as go on their way.
type wordyFailure struct{}

func (wordyFailure) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "fail", Slots: 8}, nil
}

func (wordyFailure) Handle(context.Context, *bus.Task, bus.Emit) (any, error) {
	return nil, errors.New(strings.Repeat("x", bus.MaxErrorText))
}

// A list of tasks that no message takes is heard whole.
func TestLongListOfTasks(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- n.conn.Serve(ctx, wordyFailure{}) }()
	const tasks = 300 // 1.2 MiB
	var wg sync.WaitGroup
	for range tasks {
		wg.Go(func() {
			for _, err := range n.conn.Submit(n.ctx(), bus.Task{Type: "fail"}) {
				if !errors.Is(err, &bus.Error{Code: bus.CodeInternal}) {
					t.Errorf("error %.100v, want that of the handler", err)
				}
			}
		})
	}
	wg.Wait()
	stop()
	check(t, <-served)
	all, err := n.conn.Tasks(n.ctx())
	check(t, err)
	if len(all) != tasks {
		t.Errorf("%d tasks are listed, want %d", len(all), tasks)
	}
	for _, i := range all {
		if i.Error == nil || len(i.Error.Message) != bus.MaxErrorText {
			t.Fatalf("of a task is told %.200v, want its whole error", i)
		}
	}
}

// Pieces that belong to nothing, come twice, or are other bytes are refused.
func TestPiecesAreChecked(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	nc := raw(t, n)
	ask := func(subject string, offset int, data []byte, into any) error {
		t.Helper()
		m := &nats.Msg{Subject: bus.SubjectPayloadRPC(n.conn.NodeID(), subject), Data: data, Header: nats.Header{bus.HeaderOffset: {strconv.Itoa(offset)}}}
		r, err := nc.RequestMsgWithContext(n.ctx(), m)
		check(t, err)
		if r.Header.Get(bus.HeaderError) != "" {
			e := &bus.Error{}
			check(t, json.Unmarshal(r.Data, e))
			return e
		}
		if into != nil {
			check(t, json.Unmarshal(r.Data, into))
		}
		return nil
	}
	want := func(what string, err error, code bus.Code) {
		t.Helper()
		if !errors.Is(err, &bus.Error{Code: code}) {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	begin := func(b bus.Blob) (out bus.Blob, err error) {
		data, err := json.Marshal(b)
		check(t, err)
		err = ask(bus.VerbUpload, 0, data, &out)
		return out, err
	}
	data := bytes.Repeat([]byte("1"), 1000)
	over := bus.BlobOf(data)
	over.Size = bus.MaxPayload + 1
	_, err := begin(over)
	want("over the limit", err, bus.CodeTooLarge)
	_, err = begin(bus.Blob{SHA256: "../..", Size: 3})
	want("no hash", err, bus.CodeInvalid)
	b, err := begin(bus.BlobOf(data))
	check(t, err)
	want("unknown token", ask(bus.VerbUpload+".other", 0, data, nil), bus.CodeNotFound)
	asDaemon := func(verb string, data []byte) { // it is not answered, nor done
		t.Helper()
		check(t, nc.PublishMsg(&nats.Msg{Subject: bus.SubjectPayloadRPC(n.conn.NodeID(), verb), Reply: daemonInbox, Data: data, Header: nats.Header{bus.HeaderOffset: {"0"}}}))
	}
	asDaemon(bus.VerbUpload+"."+b.Token, data[:500])
	check(t, ask(bus.VerbUpload+"."+b.Token, 0, data[:500], nil))
	want("a piece again", ask(bus.VerbUpload+"."+b.Token, 0, data[:500], nil), bus.CodeInvalid)
	want("too much", ask(bus.VerbUpload+"."+b.Token, 500, data, nil), bus.CodeInvalid)
	want("fetched by others", ask(bus.VerbDownload+"."+b.Token, 0, []byte("0"), nil), bus.CodeNotFound)
	enqueue := func(b bus.Blob) error {
		data, err := json.Marshal(bus.EnqueueRequest{Task: bus.Task{Type: "mirror"}, Payload: &b})
		check(t, err)
		return ask(bus.VerbEnqueue, 0, data, nil)
	}
	want("half of it", enqueue(b), bus.CodeInvalid)
	want("after that", enqueue(b), bus.CodeNotFound)
	b, err = begin(bus.BlobOf(data))
	check(t, err)
	check(t, ask(bus.VerbUpload+"."+b.Token, 0, bytes.Repeat([]byte("2"), 1000), nil))
	want("other bytes", enqueue(b), bus.CodeInvalid)
	huge, err := json.Marshal(bus.Blob{SHA256: b.SHA256, Size: bus.MaxPayload})
	check(t, err)
	asDaemon(bus.VerbUpload, huge)
	for range 2 { // two of them fill what a daemon holds
		big := bus.BlobOf(data)
		big.Size = bus.MaxPayload
		_, err = begin(big)
		check(t, err)
	}
	_, err = begin(bus.BlobOf(data))
	want("no room", err, bus.CodeBusy)
}

//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// readers are at node b, over HTTP and on the bus, and read what a writes for c.
type readers struct {
	a, b, c *harness.Node
	http    eventReader
	pieces  []string // on the bus
	end     *bus.TaskInfo
}

// read has c hand a durable task over, and both readers follow it. Once each has the first word, the others come when then has
// returned.
func (r *readers) read(t *testing.T, then func()) {
	t.Helper()
	s := harness.New(t, programs)
	rest := make(chan struct{})
	open := sync.OnceFunc(func() { close(rest) })
	t.Cleanup(open) // before the engine is stopped
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: new(engine.Ledger), Script: func(r engine.Request) engine.Script {
		return engine.Script{Words: scriptedWords(r.Marker), Rest: rest, Between: wordEvery}
	}})
	t.Cleanup(open)
	r.a = s.Found(t, "a", "--engine", eng.URL())
	r.b, r.c = s.Join(t, r.a, "b"), s.Join(t, r.a, "c")
	harness.Settle(t, r.a, r.b, r.c)
	awaitModel(t, r.c, "a", engine.Model, true)
	body, err := json.Marshal(newDriver(t).task("left"))
	if err != nil {
		t.Fatal(err)
	}
	if r := httpDo(t, r.c, http.MethodPost, "/task?durable=1", string(body)); r.status != http.StatusAccepted {
		t.Fatalf("%+v", r)
	}
	conn, first := r.b.Dial(t), make(chan struct{}, 2)
	var reading sync.WaitGroup
	reading.Go(func() {
		for chunk, err := range conn.Attach(within(t, "the output"), "left", 0) {
			if err != nil {
				t.Errorf("on the bus: %v", err)
				break
			}
			if r.end = chunk.End; r.end != nil {
				break
			}
			if piece, err := bus.Piece[bus.InferenceChunk](chunk); err != nil {
				t.Errorf("on the bus: %v", err)
			} else if piece.Text != "" {
				if r.pieces = append(r.pieces, piece.Text); len(r.pieces) == 1 {
					first <- struct{}{}
				}
			}
		}
	})
	reading.Go(func() {
		r.http = eventReader{t: t, first: func() { first <- struct{}{} }}
		r.http.listen(r.b, "/task/left/events", "", 2*answerWords)
	})
	for range 2 {
		select {
		case <-first:
		case <-within(t, "the first word").Done():
			t.Fatal("the first word has not come to both readers")
		}
	}
	then()
	open()
	reading.Wait()
	if !r.http.ended || r.end == nil {
		t.Fatalf("over HTTP: %d words, ended %v; on the bus: %d, ended %v", len(r.http.words), r.http.ended, len(r.pieces), r.end != nil)
	}
	if res, err := bus.Result[bus.InferenceResult](*r.end); err != nil || res.Text != strings.Join(scriptedWords("left"), "") {
		t.Errorf("the result is %q, error %v", res.Text, err)
	}
}

// Readers at a third node lose the node that submitted the task, for good: they get what is missing from its worker.
func TestReadersLoseTheSubmitter(t *testing.T) {
	t.Parallel()
	var r readers
	r.read(t, func() { r.c.Kill() })
	r.wantAll(t)
}

// The node that submitted the task is back before its end, or was only silent: its readers at another node get all of the answer.
func TestReadersFindTheSubmitterAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		away, back func(*testing.T, *harness.Node)
	}{
		"started anew": {
			func(_ *testing.T, n *harness.Node) { n.Kill() },
			func(t *testing.T, n *harness.Node) { n.Start(t) },
		},
		"silent": {
			func(t *testing.T, n *harness.Node) { harmed(t, n.Freeze()) },
			func(t *testing.T, n *harness.Node) { harmed(t, n.Thaw()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r readers
			r.read(t, func() {
				c.away(t, r.c)
				harness.Poll(t, harness.Patience, "b has lost c", func() string {
					if state := r.b.View(t).Node("c").State; state != bus.NodeLost {
						return string(state)
					}
					return ""
				})
				c.back(t, r.c)
				harness.Settle(t, r.a, r.b, r.c)
			})
			r.wantAll(t)
		})
	}
}

// wantAll fails a test whose readers did not get all of the answer, or were warned.
func (r *readers) wantAll(t *testing.T) {
	t.Helper()
	want := strings.Join(scriptedWords("left"), "")
	for how, got := range map[string][2]string{
		"over HTTP":  {strings.Join(r.http.words, ""), r.http.warns},
		"on the bus": {strings.Join(r.pieces, ""), r.end.Warning},
	} {
		if got != [2]string{want, ""} {
			t.Errorf("%s: read %q, warned %q, want %q", how, got[0], got[1], want)
		}
	}
}

// harmed fails a test whose own fault could not be done.
func harmed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

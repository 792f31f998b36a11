//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// How a client over HTTP ends its request.
const (
	readsAll   = iota // it reads the whole answer
	leavesSoon        // it closes its end somewhere in the answer's first bytes
	saysHalf          // it closes its end in the middle of its request
)

// perWay is how often each route is asked in each way. What stays behind once for each request is well above
// leftoverRoom then, and what comes and goes by itself (connections kept for the next request) is below.
const (
	perWay       = 40
	leftoverRoom = 30
)

// passer does a kind of work (of few: a queue keeps a consumer for each), and tells when it was asked what it can do.
type passer struct {
	kind  string
	ready chan struct{}
}

func (p passer) Capability(context.Context) (bus.Capability, error) {
	select {
	case <-p.ready:
	default:
		close(p.ready)
	}
	return bus.Capability{Type: p.kind, Slots: 1}, nil
}

func (passer) Handle(context.Context, *bus.Task, bus.Emit) (any, error) { return "done", nil }

// inHand is what a node has in hand.
type inHand struct{ goroutines, files, open, busy int }

// holds reads what n has in hand from its metrics.
func holds(t *testing.T, n *harness.Node) (h inHand) {
	t.Helper()
	figures := map[string]*int{
		"go_goroutines": &h.goroutines, "process_open_fds": &h.files,
		"mycoswarm_open_tasks": &h.open, "mycoswarm_slots_busy": &h.busy,
	}
	found := 0
	for line := range strings.Lines(httpDo(t, n, http.MethodGet, "/metrics", "").body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ = strings.Cut(name, "{")
		if figure := figures[name]; figure != nil {
			k, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			*figure += int(k)
			found++
		}
	}
	if found < len(figures) {
		t.Fatalf("%s has %d of the figures %v", n.Name, found, figures)
	}
	return h
}

// passing is a request of a client that may leave.
type passing struct {
	address string
	raw     string // as it goes over the wire
	body    int    // where its body begins
	way     int
}

// do makes the request, and reports whether an answer came. What the node says is another test's matter.
func (p passing) do(t *testing.T) bool {
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Error(err)
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Error(err)
		return false
	}
	raw := p.raw
	if p.way == saysHalf {
		raw = raw[:p.body-1+(len(raw)-p.body)/2]
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		return false // the node has refused it before all was said
	}
	switch p.way {
	case readsAll:
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%.60q: %v", p.raw, err)
			return false
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("%.60q: %v", p.raw, err)
		}
		return true
	case leavesSoon:
		k, _ := io.ReadFull(conn, make([]byte, rand.IntN(600)))
		return k > 0
	}
	return false
}

// passers are the requests of all routes in all ways, each n times, in any order.
func passers(t *testing.T, node *harness.Node, pages *url.URL, n int) (out []passing) {
	t.Helper()
	at, err := url.Parse(node.Info.HTTPURL)
	if err != nil {
		t.Fatal(err)
	}
	add := func(method, path, body string, ways ...int) {
		head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
			method, path, at.Host, readFile(t, node, bus.HTTPKeyFile), len(body))
		for _, way := range ways {
			for range n {
				out = append(out, passing{address: at.Host, raw: head + body, body: len(head), way: way})
			}
		}
	}
	for _, pattern := range gateway.Routes() {
		method, _, _ := strings.Cut(pattern, " ")
		for _, sample := range samples[pattern] {
			body := strings.ReplaceAll(sample.body, "PAGES", pages.String())
			add(method, sample.path, body, readsAll, leavesSoon, saysHalf)
			if open, ok := strings.CutSuffix(body, "}"); ok && strings.Contains(body, `"model":`) {
				add(method, sample.path, open+`,"stream":true}`, readsAll, leavesSoon)
			}
		}
	}
	add(http.MethodGet, "/ui/events", "", leavesSoon)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// comeAndGo has eight clients at a time make requests, and returns how many had an answer.
func comeAndGo(t *testing.T, requests []passing) (answered int) {
	t.Helper()
	todo := make(chan passing)
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for p := range todo {
				if p.do(t) {
					mu.Lock()
					answered++
					mu.Unlock()
				}
			}
		})
	}
	for _, p := range requests {
		todo <- p
	}
	close(todo)
	clients.Wait()
	return answered
}

// passingProgram is one that comes over the bus, has a question answered or leaves in the middle, and offers a kind of work.
func passingProgram(t *testing.T, n *harness.Node, i int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn, err := bus.Dial(ctx, bus.WithDataDir(n.Dir))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	ready, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		_ = conn.Serve(ctx, passer{kind: fmt.Sprintf("kind-%d", i%2), ready: ready}) // ends as the program does
	}()
	words := 0
	for _, err := range conn.Submit(ctx, bus.Task{Type: bus.TypeInference, Payload: []byte(`{"prompt":"hello"}`)}) {
		if err != nil {
			t.Error(err)
		}
		if words++; words == i%12 {
			break
		}
	}
	select {
	case <-ready:
	case <-served:
		t.Error("what the program offers was not asked for")
	}
	if i%2 == 0 {
		conn.Close() // while it serves
	}
	cancel()
	<-served
}

// Whoever comes and goes over HTTP or the bus, and however, leaves nothing behind at the node that it asked nor at the
// one that answered: no goroutine, no open file, no task and no slot that counts as taken.
func TestClientsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	slowly := func(engine.Request) engine.Script {
		return engine.Script{Words: strings.SplitAfter("so that who leaves does so in the middle", " "), Between: 2 * time.Millisecond}
	}
	pages := newPages(t)
	a := s.Found(t, "a", "--slots", "8", "--web-allow", "127.0.0.1", "--web-port", pages.Port(), "--search", pages.String(),
		"--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: slowly}).URL())
	b := s.Join(t, a, "b")
	awaitModel(t, b, "a", engine.Model, true)
	var before, after [2]inHand
	both := []*harness.Node{a, b}
	for _, n := range []int{2, perWay} { // the first ones are for what is made once and kept
		before = after
		requests := append(passers(t, a, pages, n), passers(t, b, pages, n)...)
		t.Logf("%d requests, %d with an answer", len(requests), comeAndGo(t, requests))
		for i := range n {
			for _, node := range both {
				passingProgram(t, node, i)
			}
		}
		for i, node := range both {
			harness.Poll(t, harness.Patience, node.Name+" has ended all", func() string {
				if after[i] = holds(t, node); after[i].busy > 0 || after[i].open > 0 {
					return fmt.Sprintf("%+v", after[i])
				}
				return ""
			})
		}
	}
	for i, node := range both {
		harness.Poll(t, harness.Patience, node.Name+" has let go of all", func() string {
			after[i] = holds(t, node)
			if after[i].goroutines > before[i].goroutines+leftoverRoom || after[i].files > before[i].files+leftoverRoom {
				return fmt.Sprintf("%+v, and %+v before", after[i], before[i])
			}
			return ""
		})
		t.Logf("%s: %+v, before: %+v", node.Name, after[i], before[i])
	}
}

//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// stamped is the model of the engine in e2e/relay.
const stamped = "stamped:latest"

// streamed is what one stream took beyond what its engine took.
type streamed struct {
	first  time.Duration // to the first token
	tokens []time.Duration
	last   int64 // when the engine sent the last token
}

// token takes in what the engine wrote, which is one token or several.
func (s *streamed) token(text string, asked, got time.Time) error {
	for field := range strings.FieldsSeq(text) {
		var came, left int64
		if _, err := fmt.Sscanf(field, "%d,%d", &came, &left); err != nil {
			return fmt.Errorf("token %q: %w", field, err)
		}
		if left <= s.last {
			return fmt.Errorf("token %q comes after one of %d", field, s.last)
		}
		s.last = left
		if len(s.tokens) == 0 {
			s.first = got.Sub(asked) - time.Duration(left-came)
		}
		s.tokens = append(s.tokens, got.Sub(time.Unix(0, left)))
	}
	return nil
}

// path is one way from a client to the engine.
type path struct {
	name string
	// stream asks for n tokens at rate a second.
	stream func(ctx context.Context, n, rate int) (streamed, error)

	first, tokens []time.Duration // medians, one of each round
}

// run has so many streams ask again and again, each as soon as its last answer has ended, and notes the
// medians of what was added.
func (p *path) run(ctx context.Context, t *testing.T, streams, requests, n, rate int) {
	t.Helper()
	var mu sync.Mutex
	var first, tokens []time.Duration
	var all sync.WaitGroup
	for i := range streams {
		all.Go(func() {
			// They begin one after the other within the length of one, so that a first token comes amid others'.
			begin := time.NewTimer(time.Duration(i) * time.Second * time.Duration(n) / time.Duration(rate*streams))
			defer begin.Stop()
			select {
			case <-begin.C:
			case <-ctx.Done():
				return
			}
			for range requests {
				s, err := p.stream(ctx, n, rate)
				if err == nil && len(s.tokens) != n {
					err = fmt.Errorf("%d tokens came, want %d", len(s.tokens), n)
				}
				if err != nil {
					t.Errorf("%s: %v", p.name, err)
					return
				}
				mu.Lock()
				first, tokens = append(first, s.first), append(tokens, s.tokens...)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	slices.Sort(first)
	slices.Sort(tokens)
	p.first = append(p.first, first[len(first)/2])
	p.tokens = append(p.tokens, tokens[len(tokens)/2])
}

// askHTTP asks an interface of Ollama's.
func askHTTP(hc *http.Client, url string) func(context.Context, int, int) (streamed, error) {
	return func(ctx context.Context, n, rate int) (s streamed, err error) {
		body := fmt.Sprintf(`{"model":%q,"prompt":"tokens %d %d","options":{"temperature":0}}`, stamped, n, rate)
		asked := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/generate", strings.NewReader(body))
		if err != nil {
			return s, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := hc.Do(req)
		if err != nil {
			return s, err
		}
		defer resp.Body.Close()
		for lines := bufio.NewReaderSize(resp.Body, 1<<20); ; {
			line, err := lines.ReadSlice('\n')
			if err == io.EOF {
				return s, nil
			}
			if err != nil {
				return s, err
			}
			if err := s.line(line, asked, time.Now()); err != nil {
				return s, err
			}
		}
	}
}

// again asks once more where a floor breaks off: it is others' code, and held to nothing but its speed.
// httputil's proxy was seen once to close its own connection to the engine in mid-answer.
func again(t *testing.T, stream func(context.Context, int, int) (streamed, error)) func(context.Context, int, int) (streamed, error) {
	return func(ctx context.Context, n, rate int) (streamed, error) {
		s, err := stream(ctx, n, rate)
		if err != nil {
			t.Logf("a floor broke off, and is asked again: %v", err)
			return stream(ctx, n, rate)
		}
		return s, nil
	}
}

// line takes in one line of an engine.
func (s *streamed) line(line []byte, asked, got time.Time) error {
	var l struct{ Response, Error string }
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	if l.Error != "" {
		return fmt.Errorf("it says %q", l.Error)
	}
	return s.token(l.Response, asked, got)
}

// askRelay asks the worker of a raw relay, or through the program at this end: engine has the worker before it then.
func askRelay(nc *nats.Conn, to, engine string) func(context.Context, int, int) (streamed, error) {
	return func(ctx context.Context, n, rate int) (s streamed, err error) {
		inbox := nats.NewInbox()
		sub, err := nc.SubscribeSync(inbox)
		if err != nil {
			return s, err
		}
		defer sub.Unsubscribe() //nolint:errcheck // of a test's connection
		body := fmt.Sprintf("%s/api/generate\n"+`{"model":%q,"prompt":"tokens %d %d","options":{"temperature":0}}`, engine, stamped, n, rate)
		asked := time.Now()
		if err := nc.PublishRequest(to, inbox, []byte(body)); err != nil {
			return s, err
		}
		for {
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				return s, err
			}
			if len(m.Data) == 0 {
				return s, nil
			}
			if err := s.line(m.Data, asked, time.Now()); err != nil {
				return s, err
			}
		}
	}
}

// dialRelay connects to the server of a raw relay.
func dialRelay(t *testing.T, addr map[string]string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(addr["url"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// askBus asks the swarm as a Go program does.
func askBus(c *bus.Conn) func(context.Context, int, int) (streamed, error) {
	return func(ctx context.Context, n, rate int) (s streamed, err error) {
		zero := 0.0
		payload, err := json.Marshal(bus.InferenceRequest{Prompt: fmt.Sprintf("tokens %d %d", n, rate), Mode: bus.ModeGenerate, Temperature: &zero})
		if err != nil {
			return s, err
		}
		asked := time.Now()
		for chunk, err := range c.Submit(ctx, bus.Task{Type: bus.TypeInference, Model: stamped, Payload: payload}) {
			if err != nil {
				return s, err
			}
			var piece bus.InferenceChunk
			if chunk.End == nil {
				if err := json.Unmarshal(chunk.Data, &piece); err != nil {
					return s, err
				}
			}
			if err := s.token(piece.Text, asked, time.Now()); err != nil {
				return s, err
			}
		}
		return s, nil
	}
}

// buildRelay builds e2e/relay, and returns where it is.
func buildRelay(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "relay")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "e2e", "-o", program, "./relay")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build e2e/relay: %v\n%s", err, out)
	}
	return program
}

// startRelay starts a process of e2e/relay, and returns where it is reached, and its id.
func startRelay(t *testing.T, program string, args ...string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...) // it ends with its input
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil || said.Len() > 0 {
			t.Errorf("relay %v: %v\n%s", args, err, said.String())
		}
	})
	addr := map[string]string{}
	if err := json.NewDecoder(out).Decode(&addr); err != nil {
		t.Fatalf("relay %v says nothing: %v\n%s", args, err, said.String())
	}
	addr["pid"] = strconv.Itoa(cmd.Process.Pid)
	return addr
}

// Streams of 1,000 tokens/s through the swarm, against the least that NATS and HTTP do for them in the
// same run: none of a token's way is lost, and little time.
func TestStreamsOverTheFloor(t *testing.T) {
	ctx := t.Context()
	program := buildRelay(t)
	engine := startRelay(t, program, "engine")["url"]
	proxy := startRelay(t, program, "proxy", engine)["url"]
	near := startRelay(t, program, "node")
	far := startRelay(t, program, "node", near["route"])
	nc := dialRelay(t, near)
	asks := startRelay(t, program, "daemon")
	works := startRelay(t, program, "daemon", asks["route"])
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(hc.CloseIdleConnections)

	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b", "--engine", engine, "--slots", "17")
	harness.Settle(t, a, b)
	awaitModel(t, a, "b", stamped, true)
	one := harness.New(t, programs).Found(t, "one", "--engine", engine, "--slots", "17")
	awaitModel(t, one, "one", stamped, true)

	direct := &path{name: "straight to the engine", stream: askHTTP(hc, engine)}
	plain := &path{name: "a plain reverse proxy", stream: again(t, askHTTP(hc, proxy))}
	raw := &path{name: "a raw relay over a route", stream: askRelay(nc, far["worker"], engine)}
	least := &path{name: "two daemons that only pass on", stream: askRelay(dialRelay(t, asks), asks["ask"], works["worker"]+"\n"+engine)}
	gate := &path{name: "the gateway of one node", stream: askHTTP(hc, one.Info.HTTPURL)}
	two := &path{name: "two nodes, over the bus", stream: askBus(a.Dial(t))}
	twoHTTP := &path{name: "two nodes, over HTTP", stream: askHTTP(hc, a.Info.HTTPURL)}
	paths := []*path{direct, plain, raw, least, gate, two, twoHTTP}
	var rows []figures.Row
	for _, load := range []struct{ streams, requests, n int }{{1, 20, 50}, {16, 3, 500}} {
		for _, p := range paths { // warms up
			p.run(ctx, t, load.streams, 1, 50, 1000)
			p.first, p.tokens = nil, nil
		}
		for range figures.Repetitions(2) {
			for _, p := range paths {
				p.run(ctx, t, load.streams, load.requests, load.n, 1000)
			}
		}
		rows = append(rows, plain.over(direct, load.streams, 0, nil), raw.over(direct, load.streams, 0, nil), least.over(direct, load.streams, 0, nil))
		for _, p := range []*path{least, gate, two, twoHTTP} {
			floor, most := raw, 1.5
			if p == gate {
				floor, most = plain, 2
			}
			if p != least {
				rows = append(rows, p.over(direct, load.streams, most, floor))
			}
			t.Logf("%2d streams: %s adds %v to the first token, %.2f times %s; %v to each", load.streams, p.name, median(p.first)-median(direct.first),
				float64(median(p.first)-median(direct.first))/float64(median(floor.first)-median(direct.first)), floor.name, median(p.tokens)-median(direct.tokens))
		}
	}
	record(t, a, "streams", "Token streams",
		"Processes on loopback. An engine sends 1,000 tokens/s in each stream and stamps every token; what is told is the time to the first "+
			"token beyond the engine's own, less that of a client which asks the engine itself. Each way in turn, in each round; a sample is the "+
			"median of one round. A stream in which a token is lost or out of order fails the test. The raw relay is the least that NATS does: client, server, "+
			"route, server, worker, engine, and back, one message a token (`e2e/relay`); no queue, no claim, no retry. Two daemons that only pass on are the "+
			"same with TLS on the route and a program at the client's node, through which request and answer go: the least of the shape that ours have.", rows...)
}

// over returns what p adds to the first token of a stream beyond direct, and promises at most so many
// times what floor adds.
func (p *path) over(direct *path, streams int, most float64, floor *path) figures.Row {
	row := figures.Row{What: fmt.Sprintf("%d at once: %s", streams, p.name)}
	for i := range p.first {
		row.Samples = append(row.Samples, p.first[i]-direct.first[i])
	}
	if floor != nil {
		row.What += fmt.Sprintf(" (at most %.1f times %s)", most, floor.name)
	}
	if floor != nil && figures.Repetitions(0) > 0 { // differences of a few rounds are noise
		row.Promised = time.Duration(most * float64(median(floor.first)-median(direct.first)))
	}
	return row
}

func median(d []time.Duration) time.Duration { return figures.Row{Samples: d}.Median() }

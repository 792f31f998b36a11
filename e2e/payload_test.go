//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// sized is a JSON string of n bytes in all, none of whose parts are alike.
func sized(n int) json.RawMessage {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	b[0], b[n-1] = '"', '"'
	return b
}

// mirror is a program's handler that returns its payload, or as many bytes as that asks for.
type mirror struct{}

func (mirror) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "mirror", Slots: 2}, nil
}

func (mirror) Handle(_ context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	var grow struct{ Grow int }
	if len(t.Payload) < 1000 && json.Unmarshal(t.Payload, &grow) == nil {
		return sized(grow.Grow), nil
	}
	return t.Payload, nil
}

// serveMirror runs a program at n until the test ends, and returns when by knows of it.
func serveMirror(t *testing.T, n, by *harness.Node) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	conn, look := n.Dial(t), by.Dial(t)
	go func() { served <- conn.Serve(ctx, mirror{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	harness.Poll(t, harness.Patience, "the swarm knows of the program", func() string {
		status, err := look.Status(t.Context())
		if err != nil {
			return err.Error()
		}
		for _, i := range status.Nodes {
			if strings.Contains(strings.Join(i.Types, " "), "mirror") {
				return ""
			}
		}
		return "no node serves it"
	})
}

// blobFiles lists what is kept of large payloads, or results, at nodes.
func blobFiles(t *testing.T, kind string, nodes ...*harness.Node) (names []string) {
	t.Helper()
	for _, n := range nodes {
		more, err := filepath.Glob(filepath.Join(n.Dir, "sched", "blobs", "*"+kind+"*"))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, more...)
	}
	return names
}

func awaitBlobFiles(t *testing.T, kind string, want int, nodes ...*harness.Node) {
	t.Helper()
	harness.Poll(t, harness.Patience, fmt.Sprintf("%d files of the kind %q are left", want, kind), func() string {
		if names := blobFiles(t, kind, nodes...); len(names) != want {
			return fmt.Sprint(names)
		}
		return ""
	})
}

// peak returns the largest resident size of a process so far, in MiB.
func peak(t *testing.T, n *harness.Node) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb >> 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// awaitDone waits at n until a task is done, and returns its whole result.
func awaitDone(ctx context.Context, t *testing.T, conn *bus.Conn, id bus.TaskID) bus.TaskInfo {
	t.Helper()
	var end bus.TaskInfo
	for chunk, err := range conn.Attach(ctx, id, 0) {
		if err != nil {
			t.Fatalf("attach to %s: %v", id, err)
		}
		if chunk.End != nil {
			end = *chunk.End
		}
	}
	if end.State != bus.StateDone {
		t.Fatalf("task %s ended as %+v", id, end)
	}
	return end
}

// postTask sends a task to n's HTTP port, and decodes the reply into v.
func postTask(ctx context.Context, t *testing.T, n *harness.Node, query string, payload json.RawMessage, v any) int {
	t.Helper()
	body := io.MultiReader(strings.NewReader(`{"type":"mirror","payload":`), bytes.NewReader(payload), strings.NewReader("}"))
	return callHTTP(ctx, t, n, http.MethodPost, "/task"+query, body, v)
}

func callHTTP(ctx context.Context, t *testing.T, n *harness.Node, method, path string, body io.Reader, v any) int {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(n.Dir, bus.HTTPKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, method, n.Info.HTTPURL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatalf("%s %s: %d, decode: %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode
}

// namesTheLimit wants an error that says how large a payload may be.
func namesTheLimit(t *testing.T, what string, err error) {
	t.Helper()
	e := bus.AsError(err)
	if e == nil || e.Code != bus.CodeTooLarge || !strings.Contains(e.Message, strconv.Itoa(bus.MaxPayload)) || !strings.Contains(e.Message, "256 MiB") {
		t.Errorf("%s: %v, want %s naming the limit", what, err, bus.CodeTooLarge)
	}
}

const mega = 1000 * 1000

// Payloads and results of any size up to the limit, both ways, from a program and over HTTP: the
// worker is on a node of its own.
func TestBigPayloads(t *testing.T) {
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b, c := s.Join(t, a, "b"), s.Join(t, a, "c")
	nodes := []*harness.Node{a, b, c}
	harness.Settle(t, nodes...)
	serveMirror(t, c, a)
	ctx, conn := within(t, "big payloads"), a.Dial(t)
	huge := sized(300 * mega)
	log := func(what string, since time.Time) {
		t.Logf("%s: %v; peak memory %d, %d, %d MiB", what, time.Since(since).Round(time.Millisecond), peak(t, a), peak(t, b), peak(t, c))
	}
	log("before", time.Now())
	before := max(peak(t, a), peak(t, b), peak(t, c))
	results := 0
	for _, n := range []int{900_000, 1_100_000, 64 * mega} {
		payload := sized(n)
		start := time.Now()
		for chunk, err := range conn.Submit(ctx, bus.Task{Type: "mirror", Payload: payload}) {
			if err != nil {
				t.Fatalf("%d bytes, attached: %v", n, err)
			}
			if chunk.End != nil && !bytes.Equal(chunk.End.Result, payload) {
				t.Errorf("%d bytes, attached: %d came back", n, len(chunk.End.Result))
			}
		}
		log(fmt.Sprintf("%d bytes, attached", n), start)
		if names := blobFiles(t, "", nodes...); len(names) != results {
			t.Errorf("%d bytes, attached: the disks hold %v, want %d files", n, names, results)
		}
		start = time.Now()
		id := bus.TaskID(fmt.Sprint("durable-", n))
		r, err := conn.Enqueue(ctx, bus.Task{ID: id, Type: "mirror", Payload: payload})
		if err != nil || r.Copies != 2 {
			t.Fatalf("%d bytes, durable: %+v, %v", n, r, err)
		}
		log(fmt.Sprintf("%d bytes, accepted on two disks", n), start)
		for _, at := range nodes {
			if end := awaitDone(ctx, t, at.Dial(t), id); !bytes.Equal(end.Result, payload) {
				t.Errorf("%d bytes, durable, at %s: %d came back", n, at.Name, len(end.Result))
			}
		}
		log(fmt.Sprintf("%d bytes, durable, read at three nodes", n), start)
		results += 2
		awaitBlobFiles(t, ".in.", 0, nodes...)
		awaitBlobFiles(t, ".out.", results, nodes...)

		start = time.Now()
		var info bus.TaskInfo
		if code := postTask(ctx, t, a, "", payload, &info); code != http.StatusOK || !bytes.Equal(info.Result, payload) {
			t.Errorf("%d bytes, POST /task: %d, %d came back", n, code, len(info.Result))
		}
		var shown bus.TaskInfo
		if code := callHTTP(ctx, t, b, http.MethodGet, "/task/"+string(id), nil, &shown); code != http.StatusOK || !bytes.Equal(shown.Result, payload) {
			t.Errorf("%d bytes, GET /task: %d, %d came back", n, code, len(shown.Result))
		}
		a.JSON(t, &shown, "task", "show", string(id))
		if !bytes.Equal(shown.Result, payload) {
			t.Errorf("%d bytes, myco task show: %d came back", n, len(shown.Result))
		}
		log(fmt.Sprintf("%d bytes, over HTTP", n), start)
	}
	most := max(peak(t, a), peak(t, b), peak(t, c))
	if copies := float64(most-before) * (1 << 20) / (64 * mega); copies > 8 {
		t.Errorf("a daemon took %d MiB more than before: %.1f copies of the payload", most-before, copies)
	}
	tooBig(ctx, t, a, conn, huge)
	awaitBlobFiles(t, "", results, nodes...)
	reach(t, "payload", 2*results, fmt.Sprintf("64 MB both ways, with at most %d MiB of memory in any daemon", most))
}

// tooBig wants what is over the limit to be refused, naming it.
func tooBig(ctx context.Context, t *testing.T, n *harness.Node, conn *bus.Conn, huge json.RawMessage) {
	t.Helper()
	_, err := conn.Start(ctx, bus.Task{Type: "mirror", Payload: huge})
	namesTheLimit(t, "300 MB, attached", err)
	_, err = conn.Enqueue(ctx, bus.Task{Type: "mirror", Payload: huge})
	namesTheLimit(t, "300 MB, durable", err)
	for _, query := range []string{"", "?durable=1"} {
		var refused struct{ Error *bus.Error }
		if code := postTask(ctx, t, n, query, huge, &refused); code != http.StatusRequestEntityTooLarge {
			t.Errorf("300 MB, POST /task%s: %d", query, code)
		}
		namesTheLimit(t, "300 MB, POST /task"+query, refused.Error)
	}
	ask := json.RawMessage(fmt.Sprintf(`{"grow":%d}`, 300*mega))
	for _, err := range conn.Submit(ctx, bus.Task{Type: "mirror", Payload: ask}) {
		namesTheLimit(t, "a result of 300 MB, attached", err)
	}
	if _, err := conn.Enqueue(ctx, bus.Task{ID: "grow", Type: "mirror", Payload: ask}); err != nil {
		t.Error(err)
	}
	for _, err := range conn.Attach(ctx, "grow", 0) {
		namesTheLimit(t, "a result of 300 MB, durable", err)
	}
}

// keptBig starts three nodes and hands big tasks over at one that is not the queue host, before
// anybody can run them. The last node is neither.
func keptBig(t *testing.T, payload json.RawMessage, tasks ...bus.TaskID) (submitter, custodian, worker *harness.Node) {
	t.Helper()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b, c := s.Join(t, a, "b"), s.Join(t, a, "c")
	host := harness.Settle(t, a, b, c)
	free := []*harness.Node{}
	for _, n := range []*harness.Node{a, b, c} {
		if n != host {
			free = append(free, n)
		}
	}
	for _, id := range tasks {
		r, err := free[0].Dial(t).Enqueue(within(t, "a big task is accepted"), bus.Task{ID: id, Type: "mirror", Payload: payload})
		if err != nil || r.Copies != 2 {
			t.Fatalf("enqueue: %+v, %v", r, err)
		}
	}
	for _, n := range []*harness.Node{free[0], host} {
		if names := blobFiles(t, ".in.", n); len(names) != len(tasks) {
			t.Fatalf("%s keeps %v, want %d payloads", n.Name, names, len(tasks))
		}
	}
	return free[0], host, free[1]
}

// The submitter is killed once its task is accepted: the worker gets the payload from the custodian.
func TestBigPayloadOutlivesItsSubmitter(t *testing.T) {
	t.Parallel()
	payload := sized(20 * mega)
	submitter, custodian, worker := keptBig(t, payload, "big")
	submitter.Kill()
	serveMirror(t, worker, custodian)
	ctx := within(t, "the task is done")
	if end := awaitDone(ctx, t, worker.Dial(t), "big"); !bytes.Equal(end.Result, payload) {
		t.Errorf("%d bytes came back, want %d", len(end.Result), len(payload))
	}
	awaitBlobFiles(t, ".in.", 0, custodian, worker)
	submitter.Start(t)
	if end := awaitDone(ctx, t, submitter.Dial(t), "big"); !bytes.Equal(end.Result, payload) {
		t.Errorf("%d bytes came back at the submitter, want %d", len(end.Result), len(payload))
	}
	awaitBlobFiles(t, ".in.", 0, submitter)
}

// A byte of one copy is flipped on its disk, of every other task that at the submitter and of the
// rest that at the custodian, for a worker asks both who has it and begins with the first to answer:
// every task runs on its right copy.
func TestBigPayloadIsDamaged(t *testing.T) {
	t.Parallel()
	payload := sized(2 * mega)
	var tasks []bus.TaskID
	for i := range 16 {
		tasks = append(tasks, bus.TaskID(fmt.Sprintf("big-%02d", i)))
	}
	submitter, custodian, worker := keptBig(t, payload, tasks...)
	for i, id := range tasks {
		at := submitter
		if i%2 == 1 {
			at = custodian
		}
		names := blobFiles(t, string(id)+".in.", at)
		if len(names) != 1 {
			t.Fatalf("%s keeps %v of %s", at.Name, names, id)
		}
		flip(t, names[0], int64(len(payload)/2))
	}
	serveMirror(t, worker, submitter)
	ctx := within(t, "the tasks are done")
	for _, id := range tasks {
		end := awaitDone(ctx, t, submitter.Dial(t), id)
		if !bytes.Equal(end.Result, payload) || end.Attempts != 1 {
			t.Errorf("other bytes came back of %s, %d of them after %d attempts, want %d after one", id, len(end.Result), end.Attempts, len(payload))
		}
	}
	if log := worker.Log(1000); !strings.Contains(log, "large content is damaged") {
		t.Errorf("the worker met no damage:\n%s", log)
	}
}

// flip changes one bit of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	if err == nil {
		_, err = f.WriteAt([]byte{b[0] ^ 1}, at)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A prompt that no message takes, from standard input, reaches an engine of another node.
func TestBigPrompt(t *testing.T) {
	t.Parallel()
	prompt := string(sized(3 * mega))
	heard := make(chan string, 1)
	s := harness.New(t, programs)
	var ledger engine.Ledger
	eng := startEngine(t, s, engine.Config{Name: "b", Ledger: &ledger, Script: func(r engine.Request) engine.Script {
		heard <- r.Prompt
		return engine.Script{Words: []string{"Long."}}
	}})
	a := s.Found(t, "a")
	s.Join(t, a, "b", "--engine", eng.URL())
	awaitModel(t, a, "b", engine.Model, true)
	if r := a.MycoIn(t, prompt, "ask"); r.Code != 0 || !strings.Contains(r.Stdout, "Long.") {
		t.Fatalf("%.500s", r)
	}
	if got := <-heard; !strings.Contains(got, prompt) {
		t.Errorf("the engine was asked with %d bytes, want %d", len(got), len(prompt))
	}
	var receipt bus.Receipt
	r := a.MycoIn(t, prompt, "ask", "--detach", "--json")
	if err := json.Unmarshal([]byte(r.Stdout), &receipt); err != nil || receipt.Copies != 2 {
		t.Fatalf("%.500s", r)
	}
	if got := <-heard; !strings.Contains(got, prompt) {
		t.Errorf("the engine was asked with %d bytes, want %d", len(got), len(prompt))
	}
	awaitDone(within(t, "the task is done"), t, a.Dial(t), receipt.ID)
}

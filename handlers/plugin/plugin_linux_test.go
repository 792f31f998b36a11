package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/plugin"
)

// limit is how long anything may take that a test waits for.
const limit = time.Minute

// folder writes a plugin of type "shout" whose program is this one, with more lines in its plugin.toml.
func folder(t testing.TB, more string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := t.TempDir()
	dir := filepath.Join(all, "shout")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(more, "run =") {
		more = fmt.Sprintf("run = [%q, \"plugin\"]\n", self) + more
	}
	if !strings.Contains(more, "[allow]") {
		more += "\n[allow]\n"
	}
	text := "type = \"shout\"\n" + more + fmt.Sprintf("\nread = [%q]\n", self)
	if err := os.WriteFile(filepath.Join(dir, plugin.ManifestName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return all
}

// open returns the handler of the one plugin in dir.
func open(t testing.TB, dir string, change ...func(*plugin.Config)) *plugin.Handler {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	found, err := plugin.Find(dir)
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	c := plugin.Config{
		Confiner: []string{self, "confine"}, Temp: filepath.Join(t.TempDir(), "temp"), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Stop: limit, // however slow this machine is
	}
	for _, change := range change {
		change(&c)
	}
	h, err := plugin.New(found[0], c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// soon is for a plugin that does not listen.
func soon(c *plugin.Config) { c.Stop = 50 * time.Millisecond }

// do runs one task, and returns what it told and its end.
func do(t *testing.T, h *plugin.Handler, id string, o order) (output []string, result json.RawMessage, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return doUntil(ctx, t, h, id, o)
}

func doUntil(ctx context.Context, t *testing.T, h *plugin.Handler, id string, o order) (output []string, result json.RawMessage, err error) {
	t.Helper()
	payload, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	res, err := h.Handle(ctx, &bus.Task{ID: bus.TaskID(id), Type: "shout", Payload: payload}, func(chunk any) error {
		output = append(output, string(chunk.(json.RawMessage)))
		return nil
	})
	result, _ = res.(json.RawMessage)
	return output, result, err
}

// told is what the plugin tells of itself.
type told struct {
	PID        int
	Task, Type string
	Env        []string
	Temp       string
}

func tell(t *testing.T, h *plugin.Handler) (v told) {
	t.Helper()
	_, res, err := do(t, h, "t1", order{Do: "tell"})
	if err == nil {
		err = json.Unmarshal(res, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPluginWorks(t *testing.T) {
	t.Setenv("SECRET", "1")
	h := open(t, folder(t, ""))
	out, res, err := do(t, h, "t1", order{Say: []string{`{"output":"a"}`, `{"phase":"think","limit":"10m"}`, `{"output":{"b":1}}`, `{"result":[1,2]}`}})
	if err != nil || string(res) != "[1,2]" || !slices.Equal(out, []string{`"a"`, `{"b":1}`}) {
		t.Errorf("it tells %v and %s, %v", out, res, err)
	}
	first, second := tell(t, h), tell(t, h)
	if first.PID != second.PID {
		t.Errorf("two tasks had the processes %d and %d", first.PID, second.PID)
	}
	if first.Task != "t1" || first.Type != "shout" {
		t.Errorf("it was told of %+v", first)
	}
	for _, v := range first.Env {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains([]string{"PATH", "LANG", "HOME", "TMPDIR"}, name) {
			t.Errorf("it has the variable %s", v)
		}
	}
	if _, res, err := do(t, h, "t2", order{Say: []string{`{"result":null}`}}); err != nil || string(res) != "null" {
		t.Errorf("nothing as a result: %s, %v", res, err)
	}
	if _, res, err := do(t, h, "t3", order{Say: []string{`{"result":3,"output":null,"error":null}`}}); err != nil || string(res) != "3" {
		t.Errorf("a result without an error: %s, %v", res, err)
	}
}

// The folder may be named from where the daemon was started; the program runs elsewhere.
func TestPluginInARelativeFolder(t *testing.T) {
	dir := folder(t, `run = ["./main.sh"]`)
	script := filepath.Join(dir, "shout", "main.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nread -r task\necho '{\"result\":1}'\nread -r task\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	h := open(t, filepath.Base(dir))
	if _, res, err := do(t, h, "t1", order{}); err != nil || string(res) != "1" {
		t.Errorf("%s, %v", res, err)
	}
}

// What a program says of an error becomes the error of its task, and no more than that.
func TestPluginTellsErrors(t *testing.T) {
	h := open(t, folder(t, ""))
	before := tell(t, h).PID
	for said, want := range map[string]struct {
		code  bus.Code
		retry bool
	}{
		`{"error":"no such page"}`:                                          {bus.CodeFailed, false},
		`{"error":{"message":"no","code":"invalid","hint":"ask again"}}`:    {bus.CodeInvalid, false},
		`{"error":{"message":"no GPU at present","code":"unavailable"}}`:    {bus.CodeUnavailable, true},
		`{"error":{"message":"I am the swarm","code":"superseded"}}`:        {bus.CodeFailed, false},
		`{"error":{"message":"","code":"failed"}}`:                          {bus.CodeFailed, false},
		`{"error":{"message":"another node's","node":"myco-000000000000"}}`: {bus.CodeFailed, false},
	} {
		_, _, err := do(t, h, "t1", order{Say: []string{said}})
		e := bus.AsError(err)
		if e == nil || e.Code != want.code || bus.IsRetry(err) != want.retry || e.Message == "" {
			t.Errorf("%s is %+v", said, e)
		}
		if e != nil && e.Node != "" {
			t.Errorf("%s names the node %s", said, e.Node)
		}
	}
	if after := tell(t, h).PID; after != before {
		t.Errorf("an error that it told has ended process %d, now %d", before, after)
	}
}

// A program that breaks the protocol has its task fail, and does not get another one.
func TestPluginThatTalksNonsense(t *testing.T) {
	h := open(t, folder(t, ""))
	for _, said := range []string{"junk", `{"other":1}`, `{"phase":"x","limit":"soon"}`, `{"phase":"` + strings.Repeat("x", 101) + `"}`, `[]`, `{"error":7}`, `{"output":1,"result":2}`} {
		before := tell(t, h).PID
		_, _, err := do(t, h, "t1", order{Say: []string{said}})
		if !errors.Is(err, &bus.Error{Code: bus.CodeFailed}) || bus.IsRetry(err) {
			t.Errorf("%s: %v", said, err)
		}
		if after := tell(t, h).PID; after == before {
			t.Errorf("%s: it goes on as process %d", said, after)
		}
	}
	if _, _, err := do(t, h, "t1", order{Do: "long"}); !errors.Is(err, &bus.Error{Code: bus.CodeTooLarge}) || bus.IsRetry(err) || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("a line without an end: %v, want CodeTooLarge, once", err)
	}
}

// What it says of a task once that is over belongs to no other.
func TestPluginTalksLate(t *testing.T) {
	h := open(t, folder(t, ""))
	for range 20 {
		if _, res, err := do(t, h, "t1", order{Say: []string{`{"id":"t1","result":1}`, `{"id":"t1","output":2}`, `{"id":"t1","result":2}`}}); err != nil || string(res) != "1" {
			t.Fatalf("two results: %s, %v", res, err)
		}
		out, res, err := do(t, h, "t2", order{Say: []string{`{"id":"t2","result":3}`}})
		if err != nil || string(res) != "3" || len(out) > 0 {
			t.Fatalf("the task after it: %v, %s, %v", out, res, err)
		}
	}
}

// A program that ends has its task tried again, elsewhere if there is another. Three tasks in a row, and it gets no more for a while;
// one task that is tried thrice is not that.
func TestPluginThatEnds(t *testing.T) {
	h := open(t, folder(t, ""))
	slots := func() int {
		c, err := h.Capability(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.Slots
	}
	die := func(id string) {
		t.Helper()
		_, _, err := do(t, h, id, order{Do: "die"})
		if !bus.IsRetryFew(err) || !strings.Contains(err.Error(), "exit status 7: last words") {
			t.Errorf("it ended: %v", err)
		}
	}
	for range 4 {
		die("poison")
	}
	tell(t, h)
	die("a")
	die("b")
	if slots() != 1 {
		t.Fatalf("%d slots after two", slots())
	}
	die("c")
	if _, why := h.State(); slots() != 0 || why == nil || !strings.Contains(why.Error(), "3 tasks in a row") {
		t.Errorf("%d slots after three: %v", slots(), why)
	}
}

func TestPluginThatDoesNotStart(t *testing.T) {
	dir := folder(t, `run = ["./main"]`)
	program := filepath.Join(dir, "shout", "main")
	if err := os.WriteFile(program, []byte("no program\x00"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	h := open(t, dir)
	_, _, err := do(t, h, "t1", order{})
	if !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) || !bus.IsRetryFew(err) || !strings.Contains(err.Error(), "does not start") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(err.Error(), "#!/bin/sh") {
		t.Errorf("%v, want that its first line names nothing that runs it", err)
	}
	if c, err := h.Capability(t.Context()); err != nil || c.Slots != 0 {
		t.Errorf("it offers %+v, %v", c, err)
	}
}

func TestPluginIsCancelled(t *testing.T) {
	cancelled := func(h *plugin.Handler, o order) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("nobody waits")
		payload, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Handle(ctx, &bus.Task{ID: "t9", Type: "shout", Payload: payload}, func(any) error {
			cancel(gone)
			return nil
		})
		if !errors.Is(err, gone) {
			t.Errorf("it ended with %v", err)
		}
	}
	h := open(t, folder(t, ""))
	before := tell(t, h).PID
	cancelled(h, order{Say: []string{`{"output":1}`}})
	if after := tell(t, h).PID; after != before {
		t.Errorf("it heard of the end, and is process %d instead of %d", after, before)
	}
	h = open(t, folder(t, ""), soon)
	before = tell(t, h).PID
	cancelled(h, order{Say: []string{`{"output":1}`}, Do: "hang"})
	if after := tell(t, h).PID; after == before {
		t.Error("a process that does not listen goes on")
	}
	if err := syscall.Kill(before, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d that does not listen: %v", before, err)
	}
}

func TestPluginTakesTooMuchMemory(t *testing.T) {
	h := open(t, folder(t, `memory = "64MiB"`))
	_, _, err := do(t, h, "t1", order{Do: "eat"})
	if !errors.Is(err, &bus.Error{Code: bus.CodeFailed}) || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("%v", err)
	}
}

// Each task has a process of its own, as many as there are slots; all end with the handler, and so does what they
// wrote.
func TestPluginProcesses(t *testing.T) {
	h := open(t, folder(t, "slots = 2"))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var pids []int
	_, err := h.Handle(ctx, &bus.Task{ID: "t1", Type: "shout", Payload: json.RawMessage(`{"say":["{\"output\":1}"]}`)}, func(any) error {
		pids = append(pids, tell(t, h).PID)
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(pids) != 1 {
		t.Fatalf("%v, %v", pids, err)
	}
	if n, _ := h.State(); n != 2 {
		t.Errorf("%d processes, want 2", n)
	}
	_, res, err := do(t, h, "t3", order{Do: "keep"})
	if err != nil {
		t.Fatal(err)
	}
	var temp string
	if err := json.Unmarshal(res, &temp); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(temp, "kept")); err != nil {
		t.Error(err)
	}
	h.Close()
	if _, err := os.Stat(temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what it wrote: %v", err)
	}
	if err := syscall.Kill(pids[0], 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after the end: %v", pids[0], err)
	}
}

// A process that nobody needs ends.
func TestPluginIsNotKept(t *testing.T) {
	h := open(t, folder(t, `keep = "1ms"`))
	tell(t, h)
	gone(t, h)
}

// What a program has started ends with it.
func TestPluginsChildren(t *testing.T) {
	for _, more := range []string{"[allow]\nprocesses = true", "unconfined = true"} {
		t.Run(more, func(t *testing.T) { pluginsChildren(t, more) })
	}
}

func pluginsChildren(t *testing.T, more string) {
	t.Helper()
	h := open(t, folder(t, more))
	out, _, err := do(t, h, "t1", order{Do: "child"})
	if err == nil || len(out) != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	var child int
	if err := json.Unmarshal([]byte(out[0]), &child); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for { // it was sent its end, and whoever took it over has yet to collect it
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || strings.Contains(string(status), ") Z ") {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("the child lives: %s", status)
		}
	}
}

//go:build e2e && unix

package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	scripted "github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

const question, knownAnswer = "What is the capital of France?", "The capital of France is Paris."

// endless is a prompt that the demo model answers by repeating itself.
var endless = strings.TrimSpace(strings.Repeat("z ", 100))

// realOllama is a server of its own: home, models, port and process group.
type realOllama struct {
	bin, addr, home string
	cmd             *exec.Cmd
	ended           chan string // log lines of requests that are over
	logged          chan struct{}
}

func (o *realOllama) env() []string {
	return append(os.Environ(), "HOME="+o.home, "OLLAMA_MODELS="+filepath.Join(o.home, "models"),
		"OLLAMA_HOST="+o.addr, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
}

// startOllama starts the binary that MYCO_TEST_OLLAMA names, with the demo model.
func startOllama(t *testing.T) *realOllama {
	t.Helper()
	bin := os.Getenv("MYCO_TEST_OLLAMA")
	if bin == "" {
		t.Fatal("MYCO_TEST_OLLAMA names no Ollama binary: build one with e2e/build-ollama.sh BINDIR and set it to BINDIR/ollama")
	}
	addr, release, err := scripted.Reserve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = release() })
	o := &realOllama{bin: bin, addr: addr, home: t.TempDir(), ended: make(chan string, 1000)}
	o.serve(t)
	dir := t.TempDir()
	copyFile(t, "demo/tinylm.gguf", filepath.Join(dir, "tinylm.gguf"))
	copyFile(t, "../../e2e/testdata/Modelfile", filepath.Join(dir, "Modelfile"))
	create := exec.CommandContext(t.Context(), bin, "create", "tinylm", "-f", "Modelfile")
	create.Dir, create.Env = dir, o.env()
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("ollama create: %v\n%s", err, out)
	}
	return o
}

// serve starts the server and waits until it listens.
func (o *realOllama) serve(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), o.bin, "serve")
	o.cmd = cmd
	o.cmd.Env = o.env()
	// The server starts a runner for each model, which its death does not end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	log, err := o.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	o.cmd.Stdout = o.cmd.Stderr
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.kill() })
	ready := make(chan struct{})
	o.logged = make(chan struct{})
	go func() {
		defer close(o.logged)
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Listening on") {
				close(ready)
			}
			if strings.Contains(lines.Text(), `"/api/chat"`) {
				o.ended <- lines.Text()
			}
		}
	}()
	select {
	case <-ready:
	case <-o.logged:
		t.Fatal("ollama serve ended at once")
	case <-time.After(patience):
		t.Fatal("ollama serve does not listen")
	}
}

// kill ends the server and its runners as a crash would.
func (o *realOllama) kill() {
	if o.cmd.ProcessState != nil {
		return
	}
	_ = syscall.Kill(-o.cmd.Process.Pid, syscall.SIGKILL)
	<-o.logged
	_ = o.cmd.Wait()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRealOllamaAnswers(t *testing.T) {
	t.Parallel()
	o := startOllama(t)
	e, err := engine.Probe(patiently(t), o.addr)
	if err != nil || e.Kind() != engine.KindOllama {
		t.Fatalf("probe: %v, %v", e, err)
	}
	if v, err := e.(*engine.Ollama).Version(t.Context()); err != nil || v == "" {
		t.Errorf("version %q, %v", v, err)
	}
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 1 {
		t.Fatalf("models %+v, %v", models, err)
	}
	if m := models[0]; m.Name != "tinylm:latest" || m.Loaded || m.ContextLength != 256 || m.SizeBytes < 1e6 || m.Demo {
		t.Errorf("before: %+v", m)
	}
	a := ask(t.Context(), e, "tinylm:latest", question)
	if a.err != nil || strings.TrimSpace(a.res.Text) != knownAnswer || a.streamed() != a.res.Text || a.pieces() < 3 {
		t.Errorf("got %q in %d pieces, %+v, %v", a.streamed(), a.pieces(), a.res, a.err)
	}
	if r := a.res; r.PromptTokens == 0 || r.OutputTokens == 0 || r.DoneReason != "stop" || r.TTFT <= 0 || r.Duration < r.TTFT || r.Demo {
		t.Errorf("result %+v", r)
	}
	if models, err = e.Models(t.Context()); err != nil || !models[0].Loaded || models[0].ContextLength != 256 {
		t.Errorf("after: %+v, %v", models, err)
	}
	long := ask(t.Context(), e, "tinylm", strings.Repeat("z ", 2000))
	wantError(t, long.err, bus.CodeTooLarge, false, "too long")
	if hint := bus.AsError(long.err).Hint; !strings.Contains(hint, "OLLAMA_CONTEXT_LENGTH") {
		t.Errorf("what is too long comes with the hint %q", hint)
	}
	loop := ask(t.Context(), e, "tinylm", endless)
	if loop.err != nil || loop.res.DoneReason != "length" || loop.pieces() < 30 {
		t.Errorf("a model that repeats itself: %+v, %v", loop.res, loop.err)
	}
	none := ask(t.Context(), e, "llama3.2", question)
	wantError(t, none.err, bus.CodeNotFound, true, `does not have the model "llama3.2"`)
}

// What a real server calls a failure of its own, although the request is at fault, is known by its words.
func TestRealOllamaTellsFaultyRequests(t *testing.T) {
	t.Parallel()
	e, err := engine.Probe(patiently(t), startOllama(t).addr)
	if err != nil {
		t.Fatal(err)
	}
	for says, req := range map[string]bus.InferenceRequest{
		"unclosed action":      {Template: "{{ .Prompt"},
		"not defined":          {Template: "{{ nope .Prompt }}"},
		"can't evaluate field": {Template: "{{ .Prompt.X }}"},
		"undefined template":   {Template: `{{ template "x" }}`},
		"must be of type":      {Options: map[string]json.RawMessage{"num_ctx": raw(`"a"`)}},
		"invalid format":       {Format: raw(`"xml"`)},
		"invalid JSON schema":  {Format: raw(`{"type":"nope"}`)},
	} {
		req.Mode, req.Prompt = bus.ModeGenerate, question
		_, err := e.Generate(t.Context(), "tinylm", req, func(bus.InferenceChunk) error { return nil })
		wantError(t, err, bus.CodeInvalid, false, says)
	}
}

func TestRealOllamaStopsWhenCancelled(t *testing.T) {
	t.Parallel()
	o := startOllama(t)
	e, err := engine.Probe(patiently(t), o.addr)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("the reader left")
	for range 50 { // on a busy machine the answer may be over before its first word is read
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err = e.Generate(ctx, "tinylm", bus.InferenceRequest{Prompt: endless, Threads: 1}, func(bus.InferenceChunk) error {
			cancel(cause)
			return nil
		})
		cancel(nil)
		if err != nil {
			break
		}
		<-o.ended
	}
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
	select {
	case <-o.ended:
	case <-time.After(patience):
		t.Error("the server goes on with a request that was cancelled")
	}
	// Nothing is asked afterwards: the runner of Ollama 0.17.4 sometimes never takes another
	// request after one that was cancelled, and that is for the watchdog.
}

// A runner of Ollama 0.17.4 sometimes takes no request any more after one that was cancelled. It is ended, and
// the next requests are answered by another, although there are always some that wait for it.
func TestRealOllamaHangs(t *testing.T) {
	t.Parallel()
	o := startOllama(t)
	w := watch(t, engine.Config{Env: withOllama(o.addr)})
	await(t, w, "the engine", hasModel("tinylm:latest"))
	left := errors.New("the reader left")
	hangs := func() bool { // of a request that the watchdog has stopped
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		stalled := time.AfterFunc(2*time.Second, func() { cancel(bus.ErrStalled) })
		defer stalled.Stop()
		a := ask(ctx, w, "tinylm", question)
		if a.err != nil && !errors.Is(a.err, bus.ErrStalled) {
			t.Errorf("a request: %+v, %v", a.res, a.err)
		}
		return a.err != nil
	}
	for i := 1; !hangs(); i++ {
		if i == 1000 { // as a rule it hangs within 100
			t.Fatal("it never hung: where this version does not, the test, and perhaps unhang, can go")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := w.Generate(ctx, "tinylm", bus.InferenceRequest{Prompt: endless, Threads: 1}, func(bus.InferenceChunk) error {
			cancel(left)
			return nil
		})
		cancel(nil)
		if err != nil && !errors.Is(err, left) { // or the answer was there before
			t.Fatalf("a reader that left: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			<-time.After(time.Duration(i) * 700 * time.Millisecond) // one of them always waits
			for n := 1; hangs(); n++ {
				if ctx.Err() != nil {
					t.Errorf("after %d requests it still hangs", n)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestRealOllamaKilledWhileItAnswers(t *testing.T) {
	t.Parallel()
	o := startOllama(t)
	e, err := engine.Probe(patiently(t), o.addr)
	if err != nil {
		t.Fatal(err)
	}
	// On a busy machine the whole answer may be under way before the kill, so there
	// are several tries.
	for range 10 {
		killed := false
		_, err = e.Generate(t.Context(), "tinylm", bus.InferenceRequest{Prompt: endless, Threads: 1}, func(bus.InferenceChunk) error {
			if !killed {
				killed = true
				o.kill()
			}
			return nil
		})
		if err != nil {
			break
		}
		o.serve(t)
	}
	wantError(t, err, bus.CodeUnavailable, true, "broke off its answer")
	if a := ask(t.Context(), e, "tinylm", question); a.err == nil {
		t.Error("a dead engine answered")
	} else {
		wantError(t, a.err, bus.CodeUnavailable, true, "does not answer")
	}
}

func TestRealOllamaComesAndGoes(t *testing.T) {
	t.Parallel()
	o := startOllama(t)
	o.kill()
	w := watch(t, engine.Config{Env: withOllama(o.addr)})
	await(t, w, "demo first", hasModel("tinylm"))
	if m := w.Models(); !m[0].Demo {
		t.Errorf("without an engine: %+v", m)
	}
	started := time.Now()
	o.serve(t)
	await(t, w, "engine started", func(s *engine.Set) bool { return len(s.Models()) > 0 && !s.Models()[0].Demo })
	t.Logf("start noticed after %v", time.Since(started).Round(time.Millisecond))
	if a := ask(t.Context(), w, "tinylm", question); a.err != nil || a.res.Demo || a.res.Engine != engine.KindOllama {
		t.Errorf("got %+v, %v", a.res, a.err)
	}
	stopped := time.Now()
	o.kill()
	await(t, w, "engine stopped", func(s *engine.Set) bool { return len(s.Models()) > 0 && s.Models()[0].Demo })
	t.Logf("stop noticed after %v", time.Since(stopped).Round(time.Millisecond))
}

// A server that goes on with an answer tells the probabilities of the rest: with those that were told
// before they are, token by token, those of the answer undisturbed.
func TestRealOllamaLogprobsGoOn(t *testing.T) {
	t.Parallel()
	e, err := engine.Probe(patiently(t), startOllama(t).addr)
	if err != nil {
		t.Fatal(err)
	}
	zero := 0.0
	req := bus.InferenceRequest{Prompt: question, Temperature: &zero, Threads: 1, Logprobs: true, TopLogprobs: 2}
	var pieces []bus.InferenceChunk
	whole, err := e.Generate(t.Context(), "tinylm", req, func(c bus.InferenceChunk) error {
		pieces = append(pieces, c)
		return nil
	})
	if err != nil || len(whole.Logprobs) != whole.OutputTokens-1 && len(whole.Logprobs) != whole.OutputTokens || len(pieces) < 3 {
		t.Fatalf("%d probabilities in %d pieces of %+v, %v", len(whole.Logprobs), len(pieces), whole, err)
	}
	for n := 1; n < len(pieces); n++ {
		var said bus.Said
		for _, p := range pieces[:n] {
			said.Text += p.Text
			said.Logprobs = append(said.Logprobs, p.Logprobs...)
		}
		said.Tokens = len(said.Logprobs)
		if !engine.Continuable(req, said) {
			t.Errorf("after %q: it cannot go on", said.Text)
			continue
		}
		r := goOn(t.Context(), e, "tinylm", req, said)
		if r.err != nil || !r.ok || r.res.Text != whole.Text || len(r.res.Logprobs) != len(whole.Logprobs) {
			t.Errorf("after %q: %q with %d probabilities, %v, want %q with %d", said.Text, r.res.Text, len(r.res.Logprobs), r.err, whole.Text, len(whole.Logprobs))
			continue
		}
		for i, l := range r.res.Logprobs {
			want := whole.Logprobs[i]
			if l.Token != want.Token || math.Abs(l.Logprob-want.Logprob) > 0.01 || len(l.Top) != 2 {
				t.Errorf("after %q: token %d is %+v, want %+v", said.Text, i, l, want)
			}
		}
	}
}

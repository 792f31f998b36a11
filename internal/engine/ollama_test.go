package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

const doneLine = `{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":4000000,"prompt_eval_count":9,"eval_count":2}` + "\n"

func line(content string) string {
	b, _ := json.Marshal(map[string]any{"message": map[string]string{"role": "assistant", "content": content}, "done": false})
	return string(b) + "\n"
}

// thoughts are n lines of a model that thinks, no two alike.
func thoughts(n int) (out string) {
	for i := range n {
		out += fmt.Sprintf(`{"message":{"role":"assistant","content":"","thinking":"%d "},"done":false}`+"\n", i)
	}
	return out
}

func TestOllamaModels(t *testing.T) {
	t.Parallel()
	e := probe(t, ollama(t, nil))
	for range 2 { // the second time from memory
		models, err := e.Models(t.Context())
		want := bus.ModelInfo{
			Name: "tinylm:latest", Loaded: true, SizeBytes: 1211900, ContextLength: 128,
			ParameterSize: "296.64K", Quantization: "F32", Family: "llama", Engine: engine.KindOllama, Digest: "aa", Can: bus.Answers,
			ModifiedAt: time.Date(2026, 1, 2, 2, 4, 5, 678e6, time.UTC), LoadedBytes: 3, VRAMBytes: 2, ExpiresAt: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), OneAtATime: true,
		}
		embed := bus.ModelInfo{Name: "embed:latest", SizeBytes: 5, Engine: engine.KindOllama, Digest: "bb", Can: bus.Embeds, OneAtATime: true}
		if err != nil || len(models) != 2 || models[0] != want || models[1] != embed {
			t.Errorf("got %+v, %v, want %+v and %+v", models, err, want, embed)
		}
	}
}

// Who speaks as Ollama did before it told which models are loaded, or as others that do not, is an engine all the same.
func TestOllamaModelsWithoutThoseLoaded(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]int{404: 2, 405: 2, 503: 0} {
		s := serve(t, map[string]http.HandlerFunc{
			"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "POST /api/show": ollamaShow,
			"GET /api/ps": status(code, "not here"),
		})
		models, err := probe(t, s).Models(t.Context())
		if len(models) != want || (err == nil) != (want > 0) || want > 0 && models[0].Loaded {
			t.Errorf("%d: %+v, %v, want %d", code, models, err, want)
		}
	}
}

// One model whose file is damaged takes none of the others with it; a server that is busy tells nothing of its models.
func TestOllamaModelsBesideADamagedOne(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]int{404: 1, 500: 1, 503: 0} {
		s := serve(t, map[string]http.HandlerFunc{
			"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "GET /api/ps": text(ollamaNone),
			"POST /api/show": func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if strings.Contains(string(body), "embed") {
					status(code, `{"error":"invalid file magic"}`)(w, r)
					return
				}
				fmt.Fprint(w, `{"capabilities":["completion"]}`)
			},
		})
		models, err := probe(t, s).Models(t.Context())
		if len(models) != want || (err == nil) != (want > 0) {
			t.Errorf("%d: %+v, %v, want %d", code, models, err, want)
		}
	}
}

// Of models that were deleted nothing stays, for as long as the daemon runs: one that is back is asked about anew.
func TestOllamaForgetsDeletedModels(t *testing.T) {
	t.Parallel()
	var there, asked int
	s := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/ps": text(`{"models":[]}`),
		"GET /api/tags": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, []string{`{"models":[]}`, ollamaTags}[there])
		},
		"POST /api/show": func(w http.ResponseWriter, r *http.Request) {
			asked++
			ollamaShow(w, r)
		},
	})
	e := probe(t, s)
	for _, c := range []struct{ there, asked int }{{1, 2}, {1, 2}, {0, 2}, {1, 4}} {
		there = c.there
		if models, err := e.Models(t.Context()); err != nil || len(models) != 2*c.there || asked != c.asked {
			t.Fatalf("%d models, asked about %d, %v: want %d and %d", len(models), asked, err, 2*c.there, c.asked)
		}
	}
}

func TestOllamaAnswers(t *testing.T) {
	t.Parallel()
	var got map[string]any
	s := ollama(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, `{"message":{"thinking":"hm"},"done":false}`+"\n"+line("Pa")+"\n"+line("ris")+doneLine)
	})
	temperature, seed := 0.0, int64(0)
	var chunks []bus.InferenceChunk
	res, err := probe(t, s).Generate(t.Context(), "tinylm:latest", bus.InferenceRequest{
		System: "short", Prompt: "capital?", Temperature: &temperature, Seed: &seed, MaxTokens: 5, Stop: []string{"."}, Threads: 1,
	}, func(c bus.InferenceChunk) error {
		chunks = append(chunks, c)
		return nil
	})
	if err != nil || res.Text != "Paris" || res.Model != "tinylm:latest" || res.Demo || res.Engine != "ollama" ||
		res.PromptTokens != 9 || res.OutputTokens != 2 || res.DoneReason != "stop" || res.TTFT <= 0 || res.Duration < res.TTFT {
		t.Errorf("got %+v, %v", res, err)
	}
	if len(chunks) != 2 || chunks[0].Thinking != "hm" || chunks[1].Text != "Paris" || len(chunks[1].Parts()) != 2 {
		t.Errorf("chunks %+v", chunks)
	}
	sent, _ := json.Marshal(got)
	const want = `{"messages":[{"content":"short","role":"system"},{"content":"capital?","role":"user"}],"model":"tinylm:latest",` +
		`"options":{"num_predict":5,"num_thread":1,"seed":0,"stop":["."],"temperature":0},"shift":false,"stream":true,"truncate":false}`
	if string(sent) != want {
		t.Errorf("sent %s\nwant %s", sent, want)
	}
}

func TestOllamaFailures(t *testing.T) {
	t.Parallel()
	hijack := func(before string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, before)
			w.(http.Flusher).Flush()
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0) // a reset, not an end
			c.Close()
		}
	}
	blameless := []string{"busy", "too many", "no memory", "redirect", "loads, no more"} // the request
	for name, c := range map[string]struct {
		chat     http.HandlerFunc
		code     bus.Code
		retry    bool
		contains string
	}{
		"missing model":       {status(404, `{"error":"model 'tinylm' not found"}`), bus.CodeNotFound, true, `does not have the model "tinylm"`},
		"bad request":         {status(400, `{"error":"invalid option"}`), bus.CodeInvalid, false, "invalid option"},
		"prompt too long":     {status(400, `{"error":"the input length exceeds the context length"}`), bus.CodeTooLarge, false, "too long"},
		"busy":                {status(503, `{"error":"server busy, please try again"}`), bus.CodeBusy, true, "server busy"},
		"too many":            {status(429, ``), bus.CodeBusy, true, "Too Many Requests"},
		"no memory":           {status(500, `{"error":"model requires more system memory"}`), bus.CodeUnavailable, true, "more system memory"},
		"dead runner":         {status(500, `{"error":"an error was encountered while running the model: unexpected EOF"}`), bus.CodeUnavailable, true, "unexpected EOF"},
		"type of an option":   {status(500, `{"error":"option \"stop\" must be of type array"}`), bus.CodeInvalid, false, "must be of type array"},
		"no format":           {status(500, `{"error":"invalid format: \"xml\"; expected \"json\" or a valid JSON Schema object"}`), bus.CodeInvalid, false, "invalid format"},
		"no schema":           {status(500, `{"error":"invalid JSON schema in format"}`), bus.CodeInvalid, false, "invalid JSON schema"},
		"no template":         {status(500, `{"error":"template: :1: unclosed action"}`), bus.CodeInvalid, false, "unclosed action"},
		"unfit template":      {status(500, `{"error":"template: :1:10: executing \"\" at <.Prompt.X>: can't evaluate field X"}`), bus.CodeInvalid, false, "field X"},
		"unknown template":    {status(500, `{"error":"undefined template specified"}`), bus.CodeInvalid, false, "undefined template"},
		"forbidden":           {status(403, ``), bus.CodeUnavailable, true, "status 403"},
		"redirect":            {status(302, ``), bus.CodeUnavailable, true, "status 302"},
		"error in a 200":      {text(line("Pa") + `{"error":"an error was encountered while running the model"}` + "\n"), bus.CodeUnavailable, true, "while running the model"},
		"no end marker":       {text(line("Pa") + line("ris")), bus.CodeUnavailable, true, "no line with done: true"},
		"nothing at all":      {text(""), bus.CodeUnavailable, true, "no line with done: true"},
		"half a line":         {text(line("Pa") + `{"message":{"con`), bus.CodeUnavailable, true, "cannot be read"},
		"not JSON":            {text("<html>\n"), bus.CodeUnavailable, true, "cannot be read"},
		"line too long":       {text(strings.Repeat("x", 9<<20)), bus.CodeUnavailable, true, "longer than"},
		"reset":               {hijack(line("Pa")), bus.CodeUnavailable, true, "broke off its answer"},
		"reset before a word": {hijack(""), bus.CodeUnavailable, true, ""},
		"same piece, few":     {text(strings.Repeat(line("ha"), 30)), bus.CodeUnavailable, true, "no line with done: true"},
		"loads, no more":      {text(`{"message":{"content":""},"done":true,"done_reason":"load"}` + "\n"), bus.CodeUnavailable, true, "did not see the prompt"},
		"while it thinks":     {text(thoughts(40)), bus.CodeUnavailable, true, "no line with done: true"},
		"lines of nothing":    {text(strings.Repeat(line(""), 40)), bus.CodeUnavailable, true, "no line with done: true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := ask(t.Context(), probe(t, ollama(t, c.chat)), "tinylm", "capital?")
			wantError(t, a.err, c.code, c.retry, c.contains)
			wantFew(t, a.err, c.retry && !slices.Contains(blameless, name))
		})
	}
}

// The engine was up, and is gone before it answers: the request may have done that. One that is not up has not
// even seen it.
func TestEngineThatHangsUp(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 100 << 10} { // which go different ways
		s := ollama(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
		e, prompt := probe(t, s), strings.Repeat("x", size)
		err := ask(t.Context(), e, "tinylm", prompt).err
		wantError(t, err, bus.CodeUnavailable, true, "hung up instead of answering")
		wantFew(t, err, true)
		s.Close()
		err = ask(t.Context(), e, "tinylm", prompt).err
		wantError(t, err, bus.CodeUnavailable, true, "does not answer")
		wantFew(t, err, false)
	}
}

// A keep_alive of no time, however it is spelled, unloads.
func TestOllamaTellsWhatItUnloads(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "GET /api/ps": text(ollamaPS),
		"POST /api/show": ollamaShow, "POST /api/generate": text(`{"done":true,"done_reason":"load"}` + "\n"),
	})
	e := probe(t, s)
	for keep, want := range map[string]string{
		`0`: "unload", `0.0`: "unload", `-0`: "unload", `"0"`: "unload", `"0h"`: "unload", `"0m0s"`: "unload",
		``: "load", `null`: "load", `0.5`: "load", `-1`: "load", `"1ms"`: "load", `"x"`: "load", `""`: "load",
	} {
		res, err := e.Generate(t.Context(), "tinylm", bus.InferenceRequest{Load: true, KeepAlive: raw(keep)}, nil)
		if err != nil || res.DoneReason != want {
			t.Errorf("keep_alive %s: %q, %v, want %q", keep, res.DoneReason, err, want)
		}
	}
}

func TestOllamaStoppedRepetition(t *testing.T) {
	t.Parallel()
	a := ask(t.Context(), probe(t, ollama(t, text(strings.Repeat(line(" ha"), 31)))), "tinylm", "capital?")
	if a.err != nil || a.res.DoneReason != "length" || a.res.Text != strings.Repeat(" ha", 31) {
		t.Errorf("got %+v, %v", a.res, a.err)
	}
	thought := strings.Repeat(`{"message":{"role":"assistant","content":"","thinking":" ha"},"done":false}`+"\n", 31)
	if a := ask(t.Context(), probe(t, ollama(t, text(thought))), "tinylm", "capital?"); a.err != nil || a.res.DoneReason != "length" {
		t.Errorf("of a thought: %+v, %v", a.res, a.err)
	}
}

func TestOllamaLongLineAndDribble(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 400<<10)
	s := ollama(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, b := range []byte(line("Pa") + doneLine[:20]) {
			_, _ = w.Write([]byte{b})
			w.(http.Flusher).Flush()
		}
		fmt.Fprint(w, doneLine[20:])
	})
	if a := ask(t.Context(), probe(t, s), "tinylm", "capital?"); a.err != nil || a.res.Text != "Pa" {
		t.Errorf("one byte at a time: %+v, %v", a.res, a.err)
	}
	if a := ask(t.Context(), probe(t, ollama(t, text(line(long)+doneLine))), "tinylm", "x"); a.err != nil || a.res.Text != long {
		t.Errorf("a long line: %d bytes, %v", len(a.res.Text), a.err)
	}
}

func TestEndlessAnswerIsCut(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	s := ollama(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		for i := 0; r.Context().Err() == nil; i++ {
			fmt.Fprint(w, line(fmt.Sprint(i, strings.Repeat("x", 4000))))
		}
	})
	a := ask(t.Context(), probe(t, s), "tinylm", "x")
	if a.err != nil || a.res.DoneReason != "length" || len(a.res.Text) < 512<<10 || len(a.res.Text) > 520<<10 {
		t.Errorf("%d bytes, %q, %v", len(a.res.Text), a.res.DoneReason, a.err)
	}
	wait(t, left, "the request goes on")
}

// wait waits for a signal.
func wait(t *testing.T, c <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}

func TestCancelHangsUp(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{"before the first token": "", "after it": line("Pa")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, left := make(chan struct{}), make(chan struct{})
			s := ollama(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the hang-up
				fmt.Fprint(w, first)
				w.(http.Flusher).Flush()
				close(asked)
				<-r.Context().Done()
				close(left)
			})
			cause := errors.New("the reader left")
			ctx, cancel := context.WithCancelCause(t.Context())
			e := probe(t, s)
			ended := make(chan error, 1)
			go func() { ended <- ask(ctx, e, "tinylm", "capital?").err }()
			wait(t, asked, "no request came")
			cancel(cause)
			if err := <-ended; !errors.Is(err, cause) || bus.IsRetry(err) {
				t.Errorf("got %v, want the cause", err)
			}
			wait(t, left, "the engine goes on")
		})
	}
}

func TestErrorOfEmitEndsTheRequest(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	s := ollama(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, line("Pa"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(left)
	})
	gone := errors.New("superseded")
	_, err := probe(t, s).Generate(t.Context(), "tinylm", bus.InferenceRequest{Prompt: "x"}, func(bus.InferenceChunk) error { return gone })
	if err != gone { //nolint:errorlint // it must come back as it is
		t.Errorf("got %v", err)
	}
	wait(t, left, "the engine goes on")
}

func TestOllamaBehindAForeignName(t *testing.T) {
	t.Parallel()
	strict := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "localhost" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			h(w, r)
		}
	}
	s := httptest.NewServer(strict(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/version":
			text(ollamaVersion)(w, r)
		case "/api/tags":
			text(ollamaNone)(w, r)
		default:
			text(line("ok")+doneLine)(w, r)
		}
	}))
	t.Cleanup(s.Close)
	if a := ask(t.Context(), probe(t, s), "tinylm", "x"); a.err != nil || a.res.Text != "ok" {
		t.Errorf("got %+v, %v", a.res, a.err)
	}
}

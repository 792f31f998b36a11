// Package engine is an inference engine for tests: an HTTP server that speaks enough of
// Ollama's API for a daemon to use it, does what a script says for each request (at what pace,
// to hang, to break off), and writes every generation into a Ledger. The ledger is how a test
// knows what the swarm ran, without asking the swarm.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Model is the model that an engine has unless Config names others.
const Model = "scripted:latest"

// Ending is what an engine does after the words of a script.
type Ending int

// The endings of a script.
const (
	Finish Ending = iota // the last line, done
	Hang                 // nothing more, until the caller hangs up
	Reset                // the connection breaks off
	Fail                 // an error in the engine's own format
	Stop                 // the connection ends in good order, and the last line is missing
	Lie                  // a line that is none of the protocol
)

// Script is what an engine does with one request.
type Script struct {
	// Words are streamed one by one; by default two, the second naming the task. Of an answer that was
	// begun before, only those that follow are.
	Words []string
	// Calls are calls of tools that follow the words of a chat.
	Calls []Call
	// Gate holds the answer back until it is closed, and Rest all but its first word; nil is open.
	Gate, Rest <-chan struct{}
	// Before is the time to the first word, Between the time from word to word.
	Before, Between time.Duration
	// Ending is what follows the last word.
	Ending Ending
}

// Call is a call of a tool.
type Call struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}

// Request is what a script may look at.
type Request struct {
	Engine string
	Model  string
	Marker string
	Prompt string
	// Said is how the answer begins, where the engine is asked to go on with one.
	Said string
	// Pictures are those of the question, of a chat.
	Pictures [][]byte
}

// Config describes one engine.
type Config struct {
	// Name stands in the ledger.
	Name string
	// Models are the installed models; default Model.
	Models []string
	// Sees has the models take pictures.
	Sees bool
	// CallsTools has the models tell that they call tools.
	CallsTools bool
	// Alone has it answer one request at a time, as Ollama does: others wait, and hear nothing.
	Alone bool
	// Key is wanted of each request, as Authorization: Bearer KEY. Empty: none is.
	Key string
	// Ledger records every generation; required.
	Ledger *Ledger
	// Script decides each request; default answers at once.
	Script func(Request) Script
}

// Engine is a running engine.
type Engine struct {
	cfg  Config
	srv  *http.Server
	addr string
	wg   sync.WaitGroup
	turn chan struct{} // holds one while a request is answered, where that is Alone
}

// Start listens on addr (HOST:PORT, where the port may be 0) and serves until Stop.
func Start(ctx context.Context, addr string, cfg Config) (*Engine, error) {
	if len(cfg.Models) == 0 {
		cfg.Models = []string{Model}
	}
	if cfg.Script == nil {
		cfg.Script = func(Request) Script { return Script{} }
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the scripted engine: %w", err)
	}
	e := &Engine{cfg: cfg, addr: ln.Addr().String(), turn: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Ollama is running") })
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"version": "0.17.4"}) })
	mux.HandleFunc("GET /api/tags", e.tags)
	mux.HandleFunc("GET /api/ps", e.tags)
	mux.HandleFunc("POST /api/show", e.show)
	mux.HandleFunc("POST /api/generate", e.generate)
	mux.HandleFunc("POST /api/chat", e.generate)
	mux.HandleFunc("POST /api/embed", e.embed)
	mux.HandleFunc("POST /api/embeddings", e.embed)
	mux.HandleFunc("POST /api/pull", e.pull)
	mux.HandleFunc("DELETE /api/delete", e.remove)
	e.srv = &http.Server{Handler: e.guard(mux), ReadHeaderTimeout: 10 * time.Second}
	e.wg.Go(func() { _ = e.srv.Serve(ln) })
	return e, nil
}

// guard refuses requests without the key, and quotes what they have.
func (e *Engine) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if said := r.Header.Get("Authorization"); e.cfg.Key != "" && said != "Bearer "+e.cfg.Key {
			w.WriteHeader(http.StatusUnauthorized)
			reply(w, map[string]any{"error": "no such key: " + said})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// embed makes vectors that tell how long each text is. They are no generations: the ledger has none.
func (e *Engine) embed(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Input  []string
		Prompt string
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		reply(w, map[string]any{"error": err.Error()})
		return
	}
	vectors := [][]float32{}
	for _, s := range req.Input {
		vectors = append(vectors, []float32{float32(len(s)), 1})
	}
	reply(w, map[string]any{"embeddings": vectors, "embedding": []float32{float32(len(req.Prompt)), 1}, "prompt_eval_count": len(vectors)})
}

// pull says that a model was pulled, and remove that one was deleted: the models stay those of Config,
// since every request of a test asks for them.
func (e *Engine) pull(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	fmt.Fprintln(w, `{"status":"pulling manifest"}`)
	fmt.Fprintln(w, `{"status":"success"}`)
}

func (e *Engine) remove(w http.ResponseWriter, r *http.Request) {
	var req struct{ Model string }
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil || !slices.Contains(e.cfg.Models, req.Model) {
		w.WriteHeader(http.StatusNotFound)
		reply(w, map[string]any{"error": "model '" + req.Model + "' not found"})
	}
}

// Addr is HOST:PORT where it listens.
func (e *Engine) Addr() string { return e.addr }

// URL is what a daemon is given.
func (e *Engine) URL() string { return "http://" + e.addr }

// Stop breaks every connection and returns when the engine is gone. Its address is free then.
func (e *Engine) Stop() error {
	err := e.srv.Close()
	e.wg.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop the scripted engine: %w", err)
	}
	return nil
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may have left
}

func (e *Engine) tags(w http.ResponseWriter, _ *http.Request) {
	models := []map[string]any{}
	for _, m := range e.cfg.Models {
		models = append(models, map[string]any{
			"name": m, "model": m, "size": 1 << 20, "size_vram": 0, "context_length": 4096,
			"modified_at": "2026-01-01T00:00:00Z", "digest": "0", "expires_at": "2100-01-01T00:00:00Z",
			"details": map[string]any{"family": "llama", "parameter_size": "1M", "quantization_level": "F32", "format": "gguf"},
		})
	}
	reply(w, map[string]any{"models": models})
}

func (e *Engine) show(w http.ResponseWriter, r *http.Request) {
	can := []string{"completion"}
	if e.cfg.Sees {
		can = append(can, "vision")
	}
	if e.cfg.CallsTools {
		can = append(can, "tools")
	}
	reply(w, map[string]any{
		"capabilities": can,
		"model_info":   map[string]any{"general.architecture": "llama", "llama.context_length": 4096},
		"details":      map[string]any{"family": "llama", "parameter_size": "1M", "quantization_level": "F32", "format": "gguf"},
	})
}

// Prompt returns a prompt that names a task, so that the ledger can tell which task ran.
func Prompt(marker string) string { return "scripted task <" + marker + ">" }

var (
	markerIn = regexp.MustCompile(`<([\w-]+)>`)
	// markIn is one of bus.Marks, around what others wrote.
	markIn = regexp.MustCompile(`</?text-[0-9a-f]{16}>`)
)

// Marker is the inverse of Prompt; empty where the prompt names no task.
func Marker(prompt string) string {
	if m := markerIn.FindStringSubmatch(markIn.ReplaceAllString(prompt, "")); m != nil {
		return m[1]
	}
	return ""
}

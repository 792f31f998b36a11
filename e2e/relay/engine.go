//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// model is what the engine has.
const model = "stamped:latest"

// engine speaks as much of Ollama's interface as a daemon needs. A prompt "tokens N RATE" is answered
// with N tokens at RATE a second; each token is the time at which the request came, a comma, and the
// time at which the token left, both in nanoseconds since 1970, and a space.
func engine() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Ollama is running") })
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"version":"0.17.4"}`) })
	list := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"models":[{"name":%q,"model":%q,"size":1048576,"context_length":4096,"details":{"family":"llama"}}]}`, model, model)
	}
	mux.HandleFunc("GET /api/tags", list)
	mux.HandleFunc("GET /api/ps", list)
	mux.HandleFunc("POST /api/show", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"capabilities":["completion"],"model_info":{"general.architecture":"llama","llama.context_length":4096}}`)
	})
	mux.HandleFunc("POST /api/generate", generate)
	mux.HandleFunc("POST /api/chat", generate)
	return mux
}

func generate(w http.ResponseWriter, r *http.Request) {
	came := time.Now()
	var call struct {
		Prompt   string
		Messages []struct{ Content string }
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	field := "response"
	if strings.HasSuffix(r.URL.Path, "/chat") && len(call.Messages) > 0 {
		call.Prompt, field = call.Messages[len(call.Messages)-1].Content, "content"
	}
	var n, rate int
	if _, err := fmt.Sscanf(call.Prompt, "tokens %d %d", &n, &rate); err != nil { // it only loads the model
		fmt.Fprintf(w, `{"model":%q,"done":true,"done_reason":"load"}`+"\n", model)
		return
	}
	before, after := `"response":"`, `"`
	if field == "content" {
		before, after = `"message":{"role":"assistant","content":"`, `"}`
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(w)
	next := came
	for range n {
		next = next.Add(time.Second / time.Duration(rate))
		due := time.NewTimer(time.Until(next))
		select {
		case <-due.C:
		case <-r.Context().Done():
			return // the caller has left
		}
		fmt.Fprintf(w, `{"model":%q,"created_at":"2026-01-01T00:00:00.000000Z",%s%d,%d %s,"done":false}`+"\n",
			model, before, came.UnixNano(), time.Now().UnixNano(), after)
		if control.Flush() != nil {
			return
		}
	}
	fmt.Fprintf(w, `{"model":%q,"created_at":"2026-01-01T00:00:00.000000Z",%s%s,"done":true,"done_reason":"stop","eval_count":%d,"eval_duration":%d}`+"\n",
		model, before, after, n, time.Since(came))
}

package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// flushes is a connection that counts what is sent by itself.
type flushes struct {
	http.ResponseWriter
	n int
}

// FlushError implements what http.ResponseController looks for.
func (f *flushes) FlushError() error {
	f.n++
	return nil
}

// Tokens that came together are lines of their own, as from their engine, and are sent together.
func TestTokensThatCameTogether(t *testing.T) {
	t.Parallel()
	text := bus.InferenceChunk{Text: "The capital", Cuts: []int{3}}
	for path, c := range map[string]struct{ body, want string }{
		"/api/generate":        {`{"model":"m","prompt":"x"}`, `"response":"The"`},
		"/v1/chat/completions": {`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`, `"content":"The"`},
		"/v1/messages":         {`{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, `"text":"The"`},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			sent := map[bool]int{}
			for _, together := range []bool{true, false} {
				pieces := []bus.InferenceChunk{text}
				if !together {
					pieces = text.Parts()
				}
				_, h := newOracle(t, says(bus.InferenceResult{Text: "The capital", Model: "m:latest", DoneReason: "stop"}, chunks(1, pieces...)...))
				n := 0
				counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					f := &flushes{ResponseWriter: w}
					h.ServeHTTP(f, r)
					n = f.n
				})
				got := local(t, counted, http.MethodPost, path, c.body)
				if body := got.Body.String(); got.Code != http.StatusOK || !strings.Contains(body, c.want) || !strings.Contains(body, `" capital"`) {
					t.Errorf("together %v: %d %s, want %s", together, got.Code, body, c.want)
				}
				sent[together] = n
			}
			if sent[true] >= sent[false] {
				t.Errorf("sent %d times, and %d where each token came alone: want less", sent[true], sent[false])
			}
		})
	}
}

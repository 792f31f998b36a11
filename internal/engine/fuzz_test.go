package engine_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// Whatever an engine streams, the pieces make up the result, each fits into a message, and what
// has no end marker is an error that is worth a try elsewhere.
func FuzzStream(f *testing.F) {
	for _, s := range []string{
		`{"message":{"content":"Paris"}}` + "\n" + `{"done":true,"done_reason":"stop","eval_count":1}`,
		`{"message":{"content":"a","thinking":"b"},"done":true}`,
		`{"error":"out of memory"}`,
		`{"message":null,"done":"yes"}`,
		strings.Repeat(`{"message":{"content":" la"}}`+"\n", 32),
		"data: " + `{"choices":[{"delta":{"content":"Paris"},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n",
		"data: " + `{"choices":[{"delta":{"reasoning":"a","reasoning_content":"b"}}],"usage":{"completion_tokens":-1}}` + "\n\ndata: [DONE]\n\n",
		"event: error\ndata: " + `{"error":{"message":"x","type":"y"}}` + "\n\n",
		`{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":true}`,
		`{"response":"a","thinking":"b","context":[1],"done":true,"load_duration":1}`,
		"data: " + `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}` + "\n\ndata: [DONE]\n\n",
		"data: " + `{"choices":[{"text":"a","finish_reason":"length"}]}` + "\n\ndata: [DONE]\n\n",
		`{"message":{"content":"a"},"logprobs":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-2}]}],"done":true}`,
		"data: " + `{"choices":[{"delta":{},"logprobs":{"content":[{"token":"a"}],"tokens":["b"],"token_logprobs":[null],"top_logprobs":[{"c":-1}]}}]}` + "\n\ndata: [DONE]\n\n",
		"data: [DONE]", "retry: 1\nid: \x00\n\n", "\xef\xbb\xbfdata: {}\n\n", "", "\n\n", "[]", "null",
	} {
		f.Add([]byte(s))
	}
	readers := engine.Readers()
	f.Fuzz(func(t *testing.T, body []byte) {
		for kind, read := range readers {
			var text strings.Builder
			calls, odds := 0, 0
			res, err := read(t.Context(), bytes.NewReader(body), func(c bus.InferenceChunk) error {
				if len(c.Text) > engine.MaxPiece || len(c.Thinking) > engine.MaxPiece {
					t.Errorf("%s: a piece of %d bytes", kind, len(c.Text)+len(c.Thinking))
				}
				text.WriteString(c.Text)
				calls += len(c.ToolCalls)
				odds += len(c.Logprobs)
				for _, call := range c.ToolCalls {
					if len(call.Arguments) > engine.MaxAnswer {
						t.Errorf("%s: a call of a tool with %d bytes", kind, len(call.Arguments))
					}
				}
				data, err := json.Marshal(c)
				if len(c.ToolCalls) == 0 && len(data) > 16*engine.MaxPiece {
					t.Errorf("%s: a piece of %d bytes as JSON", kind, len(data))
				}
				return err
			})
			switch {
			case err != nil && !bus.IsRetry(err):
				t.Errorf("%s: %v is not worth a try elsewhere", kind, err)
			case err != nil:
				if m := bus.AsError(err).Message; len(m) > 1<<10 {
					t.Errorf("%s: an error of %d bytes", kind, len(m))
				}
			case res.Text != text.String() || res.DoneReason == "" || len(res.ToolCalls) != calls || len(res.Logprobs) != odds:
				t.Errorf("%s: the pieces make %q, the result is %+v", kind, text.String(), res)
			case kind == engine.KindOllama && !bytes.Contains(bytes.ToLower(body), []byte("one")) && bytes.Count(body, []byte("\n")) < 30 && len(body) < engine.MaxPiece:
				t.Errorf("%s: %q counts as complete", kind, body)
			}
		}
	})
}

// Whatever an engine says in an error, a person can read it.
func FuzzErrorText(f *testing.F) {
	for _, s := range []string{`{"error":"x"}`, `{"error":{"message":"x","type":"y"}}`, `{"error":{"message":1}}`, `<html>`, "", `{"error":null}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if msg, _ := engine.ErrorText(data); len(msg) > 512 {
			t.Errorf("a message of %d bytes", len(msg))
		}
	})
}

func FuzzPull(f *testing.F) {
	for _, s := range []string{
		`{"status":"pulling manifest"}` + "\n" + `{"status":"pulling abc","digest":"sha256:abc","total":9,"completed":4}` + "\n" + `{"status":"success"}`,
		`{"status":"pulling manifest"}` + "\n" + `{"error":"pull model manifest: file does not exist"}`,
		`{"error":"max retries exceeded"}`, `{"status":"\u001b[2J\u0007","total":-1,"completed":9223372036854775807}`,
		`{"status":"` + strings.Repeat("x", 1000) + `"}`, `{"status":7}`, "", "\n\n", "[]", "null",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := engine.ReadPull(t.Context(), bytes.NewReader(body), func(p bus.PullProgress) error {
			for _, s := range []string{p.Status, p.Digest} {
				if len(s) > 1<<10 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q of %q goes to a terminal", s, body)
				}
			}
			_, err := json.Marshal(p)
			return err
		})
		if e := bus.AsError(err); e != nil && e.Code == bus.CodeInternal {
			t.Errorf("%q: %v", body, err)
		}
	})
}

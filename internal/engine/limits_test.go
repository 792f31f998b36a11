package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// An engine may send a lot at once, of characters that take six bytes as JSON: each piece, and
// the result, must fit into a message all the same.
func TestLongPiecesFitIntoMessages(t *testing.T) {
	t.Parallel()
	for kind, words := range map[string]string{"escaped": "<", "of two bytes": "é", "plain": "x"} {
		long := strings.Repeat(words, 700<<10)
		chunk, err := json.Marshal(map[string]any{"message": map[string]string{"content": long}})
		if err != nil {
			t.Fatal(err)
		}
		event, err := json.Marshal(map[string]any{"choices": []any{map[string]any{"delta": map[string]string{"content": long}}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []engine.Engine{
			probe(t, ollama(t, text(string(chunk)+"\n"))), probe(t, openAI(t, text("data: "+string(event)+"\n\n"))),
		} {
			longest, streamed := 0, ""
			res, err := e.Generate(patiently(t), "tinylm", bus.InferenceRequest{Prompt: "x"}, func(c bus.InferenceChunk) error {
				b, err := json.Marshal(c)
				longest, streamed = max(longest, len(b)), streamed+c.Text
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(res)
			if err != nil {
				t.Fatal(err)
			}
			if longest > 128<<10 || len(b) > bus.MaxInline || res.Text != streamed || !strings.HasPrefix(long, res.Text) || res.DoneReason != "length" {
				t.Errorf("%s, %s: pieces of up to %d bytes, a result of %d with reason %q", e.Kind(), kind, longest, len(b), res.DoneReason)
			}
		}
	}
}

func TestSizeAsJSON(t *testing.T) {
	var all strings.Builder
	for r := range rune(0x3000) {
		all.WriteRune(r)
	}
	for _, s := range []string{all.String(), "", "plain", "\xff\xfe", "a\xe2\x80", "模型🙂\U0010ffff", "\ufffd", "\u2028\u2029", "<a href=\"x\">&amp;</a>\x7f\x00\x1b"} {
		b, err := json.Marshal(s)
		if got := engine.JSONSize(s); err != nil || got != len(b)-2 {
			t.Errorf("%.20q: %d, JSON has %d, %v", s, got, len(b)-2, err)
		}
	}
	text := all.String()
	if n := testing.AllocsPerRun(10, func() { engine.JSONSize(text) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestStrangeModelsAreLeftOut(t *testing.T) {
	t.Parallel()
	names := []string{"", "red\x1b[31m", "two\nlines", strings.Repeat("n", 257), "hf.co/a/b.c:Q4@x", "模型:1b"}
	for i := range 300 {
		names = append(names, fmt.Sprint("m", i))
	}
	var list struct {
		Data []map[string]string `json:"data"`
	}
	for _, n := range names {
		list.Data = append(list.Data, map[string]string{"id": n})
	}
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, map[string]http.HandlerFunc{"GET /v1/models": text(string(data))})
	set, _ := find(t, engine.Config{URLs: []string{s.URL}, Env: nowhere, NoDemo: true})
	models := set.Models()
	if len(models) != 256 || models[0].Name != "hf.co/a/b.c:Q4@x" || models[1].Name != "模型:1b" {
		t.Errorf("%d models, the first is %q", len(models), models[0].Name)
	}
}

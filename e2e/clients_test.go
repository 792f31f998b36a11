//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// heard is what a client's call came to.
type heard struct {
	Call  string          `json:"call"`
	Got   json.RawMessage `json:"got"`
	Error string          `json:"error,omitempty"`
}

func (h heard) String() string {
	if h.Error != "" {
		return "error: " + h.Error
	}
	s := string(h.Got)
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	return s
}

// buildClients builds the clients that others wrote.
func buildClients(t *testing.T) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "clients")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute) // the first time it fetches and compiles much
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", bin, ".")
	build.Dir = filepath.Join(root, "e2e", "clients")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the clients: %v\n%s", err, out)
	}
	return bin
}

// hear has the clients make all their calls to an address, or those of a kind.
func hear(t *testing.T, bin, url, model string, kind ...string) (out []heard) {
	t.Helper()
	r := harness.Run(t.Context(), t, t.TempDir(), os.Environ(), append([]string{bin, url, model}, kind...), "")
	if r.Code != 0 {
		t.Fatalf("%s", r)
	}
	for d := json.NewDecoder(strings.NewReader(r.Stdout)); ; {
		var h heard
		err := d.Decode(&h)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in %s", err, r)
		}
		out = append(out, h)
	}
}

// differences are the calls that a node answers otherwise than Ollama itself, and why.
var differences = map[string]string{
	"openai model that is missing":                   openAISays,
	"openai chat, a model that is missing":           openAISays,
	"openai chat, streamed, a model that is missing": openAISays,
	"openai chat, tools that the model has not":      openAISays,
	"openai chat, max_completion_tokens":             "Ollama takes no notice of it; the answer ends where OpenAI's would",

	"openai responses, tools that the model has not":      openAISays,
	"openai responses, a model that is missing":           openAISays,
	"openai responses, streamed, a model that is missing": openAISays,
	"openai responses, max_output_tokens":                 "Ollama says that an answer which was cut is completed; a node says incomplete, as OpenAI does",
	"openai responses, an earlier one":                    "Ollama takes no notice of it, and answers without; a node that does not have it refuses",
	goesOn:                                                "Ollama stores nothing",
	several:                                               "Ollama gives one answer where several are wanted",
	batches:                                               "Ollama keeps no files and no batches",
}

// What Ollama does not do, and what a node is to answer.
const (
	goesOn  = "openai responses, going on"
	several = "openai chat, several answers"
	batches = "openai batches"
)

var onlyNodes = map[string]string{
	goesOn:  `{"deleted":true,"goes on":true,"stored":true}`,
	several: `{"choices":3,"same":true}`,
	batches: `{"answers":20,"completed":20,"deleted":true,"kept":true,"status":"completed","total":20}`,
}

const openAISays = "Ollama calls every failure an api_error; a node says invalid_request_error, as OpenAI does"

// The clients of Ollama, OpenAI and Anthropic are pointed at a node without an engine, and hear what they hear
// from the Ollama on another node itself.
func TestClientsOfOthers(t *testing.T) {
	url := startOllama(t)
	bin := buildClients(t)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", url)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", "tinylm", true)
	direct := hear(t, bin, url, "tinylm")
	harness.Poll(t, harness.Patience, "the model counts as loaded", func() string {
		for _, m := range b.View(t).Node("a").Models {
			if m.Loaded {
				return ""
			}
		}
		return "it does not"
	})
	through := hear(t, bin, b.Info.HTTPURL, "tinylm")
	if len(direct) != len(through) || len(direct) == 0 {
		t.Fatalf("%d calls to Ollama, %d to the node", len(direct), len(through))
	}
	for i, d := range direct {
		h, why := through[i], differences[d.Call]
		same := bytes.Equal(d.Got, h.Got) && d.Error == h.Error
		switch {
		case d.Error != "":
			t.Errorf("%s: at Ollama itself: %s", d.Call, d.Error)
		case same && why != "":
			t.Errorf("%s: the same as Ollama's, and listed as different: %s", d.Call, why)
		case !same && why == "":
			t.Errorf("%s:\n\tOllama %v\n\tnode   %v", d.Call, d, h)
		}
		if want := onlyNodes[d.Call]; want != "" && string(h.Got) != want {
			t.Errorf("%s: %v, want %s", d.Call, h, want)
		}
	}
}

// Ollama's own command works against a node that has no Ollama.
func TestOllamaCommand(t *testing.T) {
	url := startOllama(t)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", url)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", "tinylm", true)
	home := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "OLLAMA_HOST=" + b.Info.HTTPURL}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"list"}, "tinylm:latest"},
		{[]string{"show", "tinylm"}, "256"},
		{[]string{"run", "tinylm", "What is the capital of France?"}, "The capital of France is Paris."},
		{[]string{"ps"}, "tinylm:latest"},
	} {
		// What is loaded is heard of a moment later.
		harness.Poll(t, harness.Patience, "ollama "+c.args[0]+" says "+c.says, func() string {
			r := harness.Run(t.Context(), t, home, env, append([]string{ollamaBinary(t)}, c.args...), "")
			if r.Code != 0 || !strings.Contains(r.Stdout, c.says) {
				return r.String()
			}
			return ""
		})
	}
	r := harness.Run(t.Context(), t, home, env, []string{ollamaBinary(t), "show", "missing"}, "")
	if r.Code == 0 || !strings.Contains(r.Stderr, "tinylm:latest") {
		t.Errorf("a model that is missing, want told what there is: %s", r)
	}
}

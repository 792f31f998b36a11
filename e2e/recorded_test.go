//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// replayed is a request of a program, as it stands in a file, and what the program reads of the answer.
type replayed struct {
	method, path, body string
	headers            []string
	streams            bool
	reads              [][2]string // a field's name, and a pattern of its values
}

// readRecorded reads a file of requests, with "###" between them.
func readRecorded(t *testing.T, file string) (out []replayed) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(text), "\n###\n") {
		var r replayed
		for line := range strings.SplitSeq(part, "\n") {
			method, path, request := strings.Cut(line, " /")
			switch {
			case strings.HasPrefix(line, "# reads "):
				name, pattern, _ := strings.Cut(strings.TrimPrefix(line, "# reads "), " ")
				r.reads = append(r.reads, [2]string{name, pattern})
			case line == "# streams":
				r.streams = true
			case line == "", strings.HasPrefix(line, "#"):
			case r.method == "" && request:
				r.method, r.path = method, "/"+path
			case strings.HasPrefix(line, "{"):
				r.body = line
			default:
				if name, empty := strings.CutSuffix(line, ": "); empty { // curl sends a header without a value so
					line = name + ";"
				}
				r.headers = append(r.headers, line)
			}
		}
		if r.method == "" || len(r.reads) == 0 {
			t.Fatalf("%s: no request, or nothing that is read of it:\n%s", file, part)
		}
		out = append(out, r)
	}
	return out
}

// replay makes a request with curl.
func replay(t *testing.T, base string, r replayed) spoken {
	t.Helper()
	args := []string{"curl", "--silent", "--show-error", "--no-buffer", "--max-time", "120", "--request", r.method, "--write-out", "\n%{http_code} %{content_type}"}
	for _, h := range r.headers {
		args = append(args, "--header", h)
	}
	if r.body != "" {
		args = append(args, "--data-binary", r.body)
	}
	got := harness.Run(t.Context(), t, t.TempDir(), os.Environ(), append(args, base+r.path), "")
	end := strings.LastIndexByte(got.Stdout, '\n')
	if got.Code != 0 || end < 0 {
		t.Fatalf("%s", got)
	}
	s := spoken{fields: map[string][]any{}}
	var media string
	if _, err := fmt.Sscan(got.Stdout[end+1:], &s.status, &media); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	s.media = strings.TrimSuffix(media, ";")
	s.take(got.Stdout[:end])
	return s
}

// Open WebUI and VS Code find in the answers of a node without an engine what they look for, as in those
// of the Ollama on another: their requests are made with curl.
func TestRecordedRequests(t *testing.T) {
	url := startOllama(t)
	variant(t, url, "tinytools", toolsTemplate)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", url)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", "tinylm", true)
	awaitModel(t, b, "a", "tinytools", true)
	for _, program := range []string{"open-webui", "vscode"} {
		for i, r := range readRecorded(t, filepath.Join("testdata", "recorded", program+".http")) {
			for _, at := range []struct{ who, base string }{{"Ollama", url}, {"the node", b.Info.HTTPURL}} {
				if at.who == "the node" {
					harness.Poll(t, harness.Patience, "b sees what the engine has loaded", func() string { return loadedAlike(t, url, b) })
				}
				got := replay(t, at.base, r)
				if got.status != 200 || r.streams != (len(got.events) > 1) {
					t.Errorf("%s, request %d, %s %s: %s answers %d with %d events: %v", program, i+1, r.method, r.path, at.who, got.status, len(got.events), got.fields)
				}
				for _, read := range r.reads {
					if read[0] == "model_info.general.basename" { // a model of a file has none
						continue
					}
					if all := values(got.fields[read[0]], r.streams); !regexp.MustCompile(read[1]).MatchString(all) {
						t.Errorf("%s, request %d, %s %s: %s says of %s %q, want %s", program, i+1, r.method, r.path, at.who, read[0], all, read[1])
					}
				}
			}
		}
	}
}

// values joins the values of a field: those of a stream are one text, or else a space is between them.
func values(in []any, stream bool) string {
	var out strings.Builder
	for _, v := range in {
		if text, ok := v.(string); !ok || !stream {
			fmt.Fprintf(&out, "%v ", v)
		} else {
			out.WriteString(text)
		}
	}
	return strings.TrimSpace(out.String())
}

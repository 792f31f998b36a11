//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// spoken is an answer to a request, as it can be compared with another.
type spoken struct {
	status int
	media  string
	// events are the names of the events of a stream, or a word for each of its lines.
	events []string
	// fields are all values by their names, in the order in which they came.
	fields map[string][]any
}

// speak makes a request, and takes the answer apart.
func speak(t *testing.T, base string, c conformCase) spoken {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	s := spoken{status: resp.StatusCode, fields: map[string][]any{}}
	s.media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type")) // the charset of JSON means nothing
	s.take(string(body))
	return s
}

// take takes a body apart: an object, lines of objects, events, or a text.
func (s *spoken) take(body string) {
	switch s.media {
	case "text/event-stream":
		for e := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
			name, data := "data", strings.TrimPrefix(e, "data: ")
			if rest, ok := strings.CutPrefix(e, "event: "); ok {
				name, data, _ = strings.Cut(rest, "\ndata: ")
			}
			if data == "[DONE]" {
				name, data = data, ""
			}
			s.object(name, data)
		}
	case "application/x-ndjson":
		for line := range strings.SplitSeq(strings.TrimSpace(body), "\n") {
			s.object("line", line)
		}
	case "application/json":
		if json.Valid([]byte(body)) {
			s.object("", body)
			return
		}
		s.fields["(text)"] = append(s.fields["(text)"], body)
	default:
		if body != "" {
			s.fields["(text)"] = append(s.fields["(text)"], body)
		}
	}
}

func (s *spoken) object(name, data string) {
	if name != "" {
		s.events = append(s.events, name)
	}
	if data == "" {
		return
	}
	var v any
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		v = data
	}
	s.flatten("", v)
}

// flatten adds the values of v under their names.
func (s *spoken) flatten(name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			s.fields[name] = append(s.fields[name], "{}")
		}
		if _, named := v["token"]; strings.HasSuffix(name, "top_logprobs[]") && !named { // its names are tokens
			s.fields[name] = append(s.fields[name], fmt.Sprint(v))
			return
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			s.flatten(strings.TrimPrefix(name+"."+k, "."), v[k])
		}
	case []any:
		if len(v) == 0 {
			s.fields[name+"[]"] = append(s.fields[name+"[]"], "[]")
		}
		if len(v) > 16 { // a vector, or tokens: one value
			s.fields[name+"[]"] = append(s.fields[name+"[]"], fmt.Sprint(v))
			return
		}
		for _, e := range v {
			s.flatten(name+"[]", e)
		}
	default:
		s.fields[name] = append(s.fields[name], v)
	}
}

// volatile are fields that are another each time, and of which the shape is compared.
var volatile = regexp.MustCompile(`(^|[._])(id|item_id|call_id|request_id|tool_use_id|created|created_at|completed_at|modified_at|expires_at)$|duration$`)

// computed are fields that an engine computes a little otherwise each time, of which two digits are compared.
var computed = regexp.MustCompile(`(^|\.)logprob$`)

// unordered are fields whose lines Ollama tells in another order each time.
var unordered = regexp.MustCompile(`^(parameters|modelfile)$`)

// forPeople are fields that say something to people.
var forPeople = regexp.MustCompile(`(^|\.)(error|error\.message|\(text\))$`)

// shapes makes of values what has to be the same.
func shapes(name string, values []any) (out []string) {
	for _, v := range values {
		shape := fmt.Sprintf("%T %v", v, v)
		switch {
		case volatile.MatchString(name):
			shape = shapeOf(v)
		case computed.MatchString(name):
			shape = fmt.Sprintf("%.2f", v)
		case unordered.MatchString(name):
			lines := strings.Split(fmt.Sprint(v), "\n")
			slices.Sort(lines)
			shape = strings.Join(lines, "\n")
		case forPeople.MatchString(name):
			shape = fmt.Sprintf("%T, empty: %v", v, v == "")
		}
		out = append(out, shape)
	}
	return out
}

// prefix is what an id begins with.
var prefix = regexp.MustCompile(`^[a-z]+[_-]`)

func shapeOf(v any) string {
	switch v := v.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return fmt.Sprintf("a time, of now: %v", at.Year() >= 2020 && at.Year() < 2099)
		}
		return "a text " + prefix.FindString(v)
	case float64:
		return fmt.Sprintf("a number, over 0: %v", v > 0)
	}
	return fmt.Sprintf("%T", v)
}

// compare returns the fields of two answers that are the same, and those that differ with what they are.
func compare(ollama, node spoken) (same []string, differ map[string]string) {
	differ = map[string]string{}
	check := func(name string, a, b any) {
		if x, y := fmt.Sprint(a), fmt.Sprint(b); x != y {
			differ[name] = fmt.Sprintf("Ollama %s, node %s", brief(x), brief(y))
			return
		}
		same = append(same, name)
	}
	check("HTTP status", ollama.status, node.status)
	check("content type", ollama.media, node.media)
	if len(differ) > 0 { // it is another answer
		return same, differ
	}
	if ollama.events != nil || node.events != nil {
		check("events", ollama.events, node.events)
	}
	all := maps.Clone(ollama.fields)
	maps.Copy(all, node.fields)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		check(name, shapes(name, ollama.fields[name]), shapes(name, node.fields[name]))
	}
	return same, differ
}

func brief(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}

// variant makes a model of tinylm with another template, so that it has another ability.
func variant(t *testing.T, url, name, template string) {
	t.Helper()
	home := t.TempDir()
	modelfile := "FROM tinylm\nTEMPLATE \"\"\"" + template + "\"\"\"\nPARAMETER num_thread 1\nPARAMETER temperature 0\n"
	if err := os.WriteFile(filepath.Join(home, "Modelfile"), []byte(modelfile), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "OLLAMA_HOST=" + url}
	if r := harness.Run(t.Context(), t, home, env, []string{ollamaBinary(t), "create", name, "-f", "Modelfile"}, ""); r.Code != 0 {
		t.Fatalf("%s", r)
	}
}

// Templates of models that can call tools, and that think.
const (
	toolsTemplate = `{{- range .Messages }}<|{{ .Role }}|>{{ .Content }}{{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "parameters": {{ .Function.Arguments }}}{{ end }}{{ end }}{{ if .Tools }}{{ end }}<|assistant|>`
	thinkTemplate = `{{- range .Messages }}<|{{ .Role }}|>{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ end }}<|assistant|>{{ if .Think }}<think>{{ end }}`
)

// Every request is answered through two nodes as by the Ollama behind them, but for what is listed; and
// docs/api.md tells both.
func TestConformance(t *testing.T) {
	o := launchOllama(t)
	url := o.url
	o.create(t)
	variant(t, url, "tinytools", toolsTemplate)
	variant(t, url, "tinythinks", thinkTemplate)
	o.age(t)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", url)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	for _, model := range []string{"tinylm", "tinytools", "tinythinks"} {
		awaitModel(t, b, "a", model, true)
	}
	used := make([]bool, len(allowed))
	var page strings.Builder
	var part *conformPart
	for _, c := range conformance() {
		ollama := speak(t, url, c)
		harness.Poll(t, harness.Patience, "b sees what the engine has loaded", func() string {
			return loadedAlike(t, url, b)
		})
		if part == nil || part.endpoint != c.endpoint() {
			part.write(&page)
			part = &conformPart{endpoint: c.endpoint(), fields: map[string]*conformField{}}
		}
		part.requests = append(part.requests, c.name)
		same, differ := compare(ollama, speak(t, b.Info.HTTPURL, c))
		for _, field := range same {
			part.field(field).same++
		}
		for field, what := range differ {
			i := slices.IndexFunc(allowed, func(d difference) bool { return d.covers(c, field) })
			if i < 0 {
				t.Errorf("%s %s, %s: %s: %s\n\t%s", c.method, c.path, c.name, field, what, c.body)
				continue
			}
			used[i] = true
			f := part.field(field)
			f.differs[i] = append(f.differs[i], c.name)
		}
	}
	part.write(&page)
	page.WriteString("\n### Why something differs\n\n")
	for i, d := range allowed {
		if !used[i] {
			t.Errorf("%q at %s is listed as different, and is the same: %s", d.field, d.path, d.why)
		}
	}
	for i, why := range reasons() {
		fmt.Fprintf(&page, "%d. %s\n", i+1, why)
	}
	inPage(t, "conformance", page.String())
}

// reasons are those of all differences, each once.
func reasons() (out []string) {
	for _, d := range allowed {
		if !slices.Contains(out, d.why) {
			out = append(out, d.why)
		}
	}
	return out
}

// conformPart is what the page tells of an endpoint.
type conformPart struct {
	endpoint string
	requests []string
	fields   map[string]*conformField
}

// conformField tells in how many requests a field was the same, and in which it differs, by why.
type conformField struct {
	same    int
	differs map[int][]string
}

func (p *conformPart) field(name string) *conformField {
	if p.fields[name] == nil {
		p.fields[name] = &conformField{differs: map[int][]string{}}
	}
	return p.fields[name]
}

// write writes a table of the fields: those that are alike in the same requests share a row.
func (p *conformPart) write(page *strings.Builder) {
	if p == nil {
		return
	}
	fmt.Fprintf(page, "\n### %s\n\n", p.endpoint)
	if requests := strings.Join(p.requests, "; "); requests != "as it is" {
		fmt.Fprintf(page, "Requests: %s.\n\n", requests)
	}
	page.WriteString("| field | the same in | differs in |\n|---|---|---|\n")
	rows := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(p.fields)) {
		f := p.fields[name]
		var why []string
		for _, i := range slices.Sorted(maps.Keys(f.differs)) {
			in := strings.Join(f.differs[i], "; ")
			if f.same == 0 && len(f.differs) == 1 {
				in = "all"
			}
			why = append(why, fmt.Sprintf("%s (%d)", in, slices.Index(reasons(), allowed[i].why)+1))
		}
		row := fmt.Sprintf("%d | %s", f.same, strings.Join(why, "; "))
		rows[row] = append(rows[row], "`"+name+"`")
	}
	for _, row := range slices.SortedFunc(maps.Keys(rows), func(a, b string) int { return strings.Compare(rows[a][0], rows[b][0]) }) {
		fmt.Fprintf(page, "| %s | %s |\n", strings.Join(rows[row], ", "), row)
	}
}

// loadedAlike reports whether a node's list of loaded models is its engine's.
func loadedAlike(t *testing.T, url string, n *harness.Node) string {
	t.Helper()
	ps := conformCase{name: "ps", method: "GET", path: "/api/ps"}
	ollama, node := speak(t, url, ps), speak(t, n.Info.HTTPURL, ps)
	want, got := slices.Clone(ollama.fields["models[].name"]), slices.Clone(node.fields["models[].name"])
	names := func(in []any) string {
		out := []string{}
		for _, v := range in {
			out = append(out, fmt.Sprint(v))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	if names(want) != names(got) {
		return fmt.Sprintf("%v, want %v", got, want)
	}
	return ""
}

// inPage wants a text between marks of docs/api.md, and writes it there where that is asked for.
func inPage(t *testing.T, mark, text string) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", "api.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+mark+": begin -->\n", "<!-- "+mark+": end -->"
	before, rest, ok := strings.Cut(string(page), begin)
	was, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		t.Fatalf("%s has no marks %q and %q", path, begin, end)
	case was == text || t.Failed():
	case *update:
		if err := os.WriteFile(path, []byte(before+begin+text+end+after), 0o644); err != nil { //nolint:gosec // a page for all
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is out of date: go test -tags e2e -run '^%s$' ./e2e -update writes it anew", path, t.Name())
	}
}

package engine_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	scripted "github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

const rightKey, wrongKey = "sk-right/0123", "sk-wrong/4567"

// guarded is a server in front of an engine that wants a key, and quotes another in its refusal.
type guarded struct {
	*httptest.Server
	mu     sync.Mutex
	key    string
	public []string        // paths that want none
	heard  map[string]bool // what Authorization said
	paths  map[string]bool // what was asked with the right key

	refused chan struct{} // tells of each request that is
}

// guard puts one in front of the engine at target.
func guard(t *testing.T, target string, public ...string) *guarded {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	on := httputil.NewSingleHostReverseProxy(u)
	on.Transport = &http.Transport{DisableKeepAlives: true}
	g := &guarded{key: rightKey, public: public, heard: map[string]bool{}, paths: map[string]bool{}, refused: make(chan struct{}, 1000)}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := r.Header.Get("Authorization")
		g.mu.Lock()
		ok := said == "Bearer "+g.key
		g.heard[said] = true
		if ok {
			g.paths[r.URL.Path] = true
		}
		g.mu.Unlock()
		if !ok && !slices.Contains(public, r.URL.Path) {
			g.refused <- struct{}{}
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"Invalid key: %s","type":"authentication_error"}}`, cmp.Or(said, "none"))
			return
		}
		on.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

// wants has the engine want another key.
func (g *guarded) wants(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.key = key
}

func (g *guarded) asked() (heard, paths []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.heard {
		heard = append(heard, s)
	}
	for s := range g.paths {
		paths = append(paths, s)
	}
	slices.Sort(paths)
	return heard, paths
}

// keyFile writes a file of keys.
func keyFile(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine-keys")
	writeKeys(t, path, lines)
	return path
}

func writeKeys(t *testing.T, path, lines string) {
	t.Helper()
	if err := atomicfile.Write(path, []byte(lines)); err != nil {
		t.Fatal(err)
	}
}

// Each request to an engine has its key, and no request to another one has it.
func TestEachRequestHasTheKeyOfItsEngine(t *testing.T) {
	t.Parallel()
	backend, err := scripted.Start(t.Context(), "127.0.0.1:0", scripted.Config{Ledger: &scripted.Ledger{}, Models: []string{"scripted"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Stop() })
	whole := func(h http.HandlerFunc) http.HandlerFunc { // what is before it would call it broken
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			h(w, r)
		}
	}
	vectors := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": text(`{"data":[{"id":"m","owned_by":"llamacpp"}]}`), "GET /props": text(`{}`),
		"POST /apply-template":      text(`{"prompt":"x"}`),
		"POST /v1/completions":      whole(text(`data: {"choices":[{"text":"ris","finish_reason":"stop"}]}` + "\n\n" + doneEvent)),
		"POST /v1/chat/completions": whole(text(event("Paris") + finish + doneEvent)),
		"POST /v1/embeddings":       text(`{"data":[{"index":0,"embedding":[1]}]}`),
	})
	ollama, llama, open := guard(t, backend.URL()), guard(t, vectors.URL, "/v1/models"), guard(t, vectors.URL)
	open.wants("")
	file := keyFile(t, "# engines\n\n"+ollama.URL+" "+rightKey+"\r\n"+llama.URL+"/v1/\t"+rightKey+"\n")
	cfg := quick(nowhere, ollama.URL, strings.Replace(llama.URL, "http://", "http://user:password@", 1), open.URL)
	cfg.Keys = file
	w := watch(t, cfg)
	await(t, w, "both answer", func(s *engine.Set) bool { return hasModel("scripted")(s) && hasModel("m")(s) })

	embed := func(model string) {
		t.Helper()
		if _, err := w.Embed(t.Context(), model, bus.EmbedRequest{Inputs: []string{"x"}}); err != nil {
			t.Error(err)
		}
	}
	for model, prompt := range map[string]string{"scripted": "x", "m": strings.Repeat("long ", 1<<15)} {
		if a := ask(t.Context(), w, model, prompt); a.err != nil {
			t.Errorf("%s: %v", model, a.err)
		}
		embed(model)
	}
	chat := bus.InferenceRequest{Mode: bus.ModeChat, Messages: []bus.Message{{Role: "user", Content: "capital?"}}}
	if _, ok, err := w.Continue(t.Context(), "m", chat, saidBy("Pa"), func() error { return nil }, func(bus.InferenceChunk) error { return nil }); !ok || err != nil {
		t.Errorf("go on: %v, %v", ok, err)
	}
	if _, err := w.Pull(t.Context(), bus.PullRequest{Model: "scripted"}, func(bus.PullProgress) error { return nil }); err != nil {
		t.Error(err)
	}
	if _, err := w.Show(t.Context(), bus.ShowRequest{Model: "scripted"}); err != nil {
		t.Error(err)
	}
	if _, err := w.Delete(t.Context(), "scripted"); err != nil {
		t.Error(err)
	}

	for g, want := range map[*guarded][]string{
		ollama: {"/api/chat", "/api/delete", "/api/embed", "/api/ps", "/api/pull", "/api/show", "/api/tags", "/api/version"},
		llama:  {"/apply-template", "/props", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models"},
	} {
		heard, paths := g.asked()
		paths = slices.DeleteFunc(paths, func(p string) bool { return !slices.Contains(want, p) }) // of probing
		if !slices.Equal(heard, []string{"Bearer " + rightKey}) || !slices.Equal(paths, want) {
			t.Errorf("heard %q at %q, want the key alone, and %q", heard, paths, want)
		}
	}
	if heard, _ := open.asked(); !slices.Equal(heard, []string{""}) {
		t.Errorf("an engine without a key was told %q", heard)
	}
	for _, a := range w.Addresses() {
		if strings.Contains(a.URL, "@") {
			t.Errorf("an address with what opens it: %s", a.URL)
		}
	}
}

// An engine that sends its clients elsewhere does not send the key there.
func TestKeyStaysWithItsEngine(t *testing.T) {
	t.Parallel()
	elsewhere := guard(t, openAI(t, nil).URL)
	s := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/v1/models", http.StatusTemporaryRedirect))
	t.Cleanup(s.Close)
	cfg := quick(nowhere, s.URL)
	cfg.Keys = keyFile(t, s.URL+" "+rightKey)
	if set, problems := find(t, cfg); len(set.Models()) > 0 || len(problems) != 2 {
		t.Errorf("found %v, %v", set.Models(), problems)
	}
	if heard, _ := elsewhere.asked(); heard != nil {
		t.Errorf("another server was told %q", heard)
	}
}

// A gateway that refuses paths which it does not know, whoever asks, is asked for OpenAI's list all the same.
func TestGatewayThatKnowsNoOllama(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		s := serve(t, map[string]http.HandlerFunc{
			"/": status(code, "no such route for you"),
			"GET /v1/models": func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer "+rightKey {
					status(code, "")(w, r)
					return
				}
				text(`{"data":[{"id":"m"}]}`)(w, r)
			},
		})
		cfg := quick(nowhere, s.URL)
		cfg.Keys = keyFile(t, s.URL+" "+rightKey)
		if set, problems := find(t, cfg); !hasModel("m")(set) {
			t.Errorf("status %d: %v", code, problems)
		}
		cfg.Keys = keyFile(t, s.URL+" "+wrongKey)
		if d := inspectWith(t, cfg)[0]; !strings.Contains(d.Error, "refuses requests in spite of its key") {
			t.Errorf("status %d with another key: %+v", code, d)
		}
	}
}

// logged is a log that a test reads while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// An engine that refuses is left out, and the log says so once and what to do; it is back when its key is right.
func TestWatcherFollowsTheKey(t *testing.T) {
	t.Parallel()
	for name, public := range map[string][]string{"all is guarded": nil, "the list is public": {"/v1/models", "/api/version"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guard(t, serve(t, map[string]http.HandlerFunc{
				"GET /v1/models": text(`{"data":[{"id":"m","owned_by":"llamacpp"}]}`), "GET /props": text(`{}`),
				"POST /v1/chat/completions": text(event("Paris") + finish + doneEvent),
			}).URL, public...)
			log := &logged{}
			cfg := quick(nowhere, g.URL)
			cfg.Keys = filepath.Join(t.TempDir(), "engine-keys")
			w, stop := watchLogged(t, cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			none := func(s *engine.Set) bool { return len(s.Models()) == 0 }
			await(t, w, "without a key", none)
			for range 3 { // the log has it once
				<-g.refused
			}
			writeKeys(t, cfg.Keys, g.URL+" "+rightKey)
			await(t, w, "with its key", hasModel("m"))

			g.wants(wrongKey) // from here on
			if a := ask(t.Context(), w, "m", "x"); !bus.IsRetryFew(a.err) {
				t.Errorf("asked with a key that is none any more: %v, want another node to try", a.err)
			}
			await(t, w, "with another's key", none)
			writeKeys(t, cfg.Keys, g.URL+" "+wrongKey)
			await(t, w, "mended", hasModel("m"))
			stop()

			said := log.String()
			if strings.Contains(said, rightKey) || strings.Contains(said, wrongKey) {
				t.Errorf("the log shows a key:\n%s", said)
			}
			if strings.Contains(said, `msg="engine does not answer`) {
				t.Errorf("the log calls it away:\n%s", said)
			}
			for _, want := range []string{
				`try="if it wants a key: a line in ` + cfg.Keys + " (mode 0600): " + g.URL + ` KEY"`,
				`try="put a key that it takes into a line in ` + cfg.Keys + " (mode 0600): " + g.URL + ` KEY"`,
			} {
				looks := strings.ReplaceAll(said, ` model=m error="openai at `+g.URL+` refuses requests in spite of its key (status 401)" `+want, "") // the rest is of a question
				if runtime.GOOS != "windows" && strings.Count(looks, want) != 1 {                                                                     // there the path is quoted
					t.Errorf("the log does not say once: %s\n%s", want, said)
				}
			}
		})
	}
}

// What an engine says of a key that it refuses is not told: it may quote it.
func TestErrorsShowNoKey(t *testing.T) {
	t.Parallel()
	quotes := guard(t, openAI(t, nil).URL)
	chat := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": text(`{"data":[{"id":"m"}]}`),
		"POST /v1/chat/completions": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "data: {\"error\":{\"message\":\"no budget for %s\"}}\n\n", r.Header.Get("Authorization"))
		},
		"POST /v1/embeddings": func(w http.ResponseWriter, r *http.Request) {
			status(http.StatusBadRequest, `{"error":"no budget for `+r.Header.Get("Authorization")+`"}`)(w, r)
		},
	})
	cfg := quick(nowhere, quotes.URL, chat.URL)
	cfg.Keys = keyFile(t, quotes.URL+" "+wrongKey+"\n"+chat.URL+" "+wrongKey)
	set, problems := find(t, cfg)
	errs := []error{problems[0].Err, ask(t.Context(), set, "m", "x").err}
	_, err := set.Embed(t.Context(), "m", bus.EmbedRequest{Inputs: []string{"x"}})
	for i, err := range append(errs, err) {
		e := bus.AsError(err)
		if e == nil || strings.Contains(e.Message+e.Hint, wrongKey) || i > 0 && !strings.Contains(e.Message, "no budget for Bearer KEY") {
			t.Errorf("%v (%s)", err, e.Hint)
		}
	}
	d := inspectWith(t, cfg)
	if !strings.Contains(d[0].Error, "in spite of its key") || !strings.Contains(d[0].Hint, cfg.Keys) || strings.Contains(fmt.Sprint(d), wrongKey) {
		t.Errorf("%+v", d)
	}
}

func inspectWith(t *testing.T, cfg engine.Config) []bus.EngineDiagnosis {
	t.Helper()
	d, err := engine.Inspect(patiently(t), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A file of keys that cannot be used is told by its place, without what stands there.
func TestFileOfKeys(t *testing.T) {
	t.Parallel()
	g := guard(t, openAI(t, nil).URL)
	cfg := quick(nowhere, g.URL)
	bare := strings.TrimPrefix(g.URL, "http://")
	for lines, says := range map[string]string{
		"":                                      "if it wants a key: a line in",
		"http://127.0.0.1:1 " + rightKey:        "if it wants a key: a line in",
		rightKey:                                "line 1 of",
		"# keys\n" + rightKey + " " + g.URL:     "line 2 of",
		g.URL + " Bearer " + rightKey:           "line 1 of",
		g.URL + " " + rightKey + "\u00e9":       "line 1 of",
		"ftp://" + rightKey + " " + rightKey:    "line 1 of",
		strings.Repeat(g.URL+" "+rightKey, 4e4): "is no file of lines such as: URL KEY",
		g.URL + " " + wrongKey:                  "put a key that it takes into a line in",
		"\ufeff" + g.URL + " " + rightKey:       "",
		bare + " " + rightKey:                   "",
	} {
		cfg.Keys = keyFile(t, lines)
		d := inspectWith(t, cfg)[0]
		if says == "" && d.Error == "" {
			continue
		}
		if says == "" || !strings.Contains(d.Hint, says) || !strings.Contains(d.Hint, cfg.Keys) || strings.Contains(fmt.Sprint(d), rightKey) {
			t.Errorf("%.80q: %+v, want %q", lines, d, says)
		}
	}
	cfg.Keys = t.TempDir()
	if d := inspectWith(t, cfg)[0]; !strings.Contains(d.Hint, "is no file of lines") {
		t.Errorf("a folder: %+v", d)
	}
	if runtime.GOOS == "windows" {
		return
	}
	cfg.Keys = keyFile(t, g.URL+" "+rightKey)
	for mode, says := range map[os.FileMode]string{0o644: "is open to every user of this machine: chmod 600 " + cfg.Keys, 0o640: ""} {
		if err := os.Chmod(cfg.Keys, mode); err != nil {
			t.Fatal(err)
		}
		if d := inspectWith(t, cfg)[0]; (d.Error == "") != (says == "") || !strings.Contains(d.Hint, says) {
			t.Errorf("mode %04o: %+v, want %q", mode, d, says)
		}
	}
}

// While the file cannot be read, as one that is just being written, the key stays that it had.
func TestKeyStaysWhileItsFileIsWritten(t *testing.T) {
	t.Parallel()
	looks := make(chan struct{}, 1000)
	g := guard(t, serve(t, map[string]http.HandlerFunc{
		"POST /v1/chat/completions": text(event("Paris") + finish + doneEvent),
		"GET /v1/models": func(w http.ResponseWriter, r *http.Request) {
			text(`{"data":[{"id":"m"}]}`)(w, r)
			looks <- struct{}{}
		},
	}).URL)
	cfg := quick(nowhere, g.URL)
	cfg.Keys = keyFile(t, g.URL+" "+rightKey)
	w := watch(t, cfg)
	await(t, w, "its key", hasModel("m"))
	writeKeys(t, cfg.Keys, g.URL)
	for range len(looks) + 2 {
		select {
		case <-looks:
		case <-patiently(t).Done():
			t.Fatal("it is looked at no more")
		}
	}
	if a := ask(t.Context(), w, "m", "x"); a.err != nil {
		t.Error(a.err)
	}
	if _, err := engine.Probe(patiently(t), g.URL); !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
		t.Errorf("without a key: %v", err)
	}
}

// A key over HTTP is in the open where the way leaves the networks of the household.
func TestInTheOpen(t *testing.T) {
	t.Parallel()
	addresses := map[string]bool{
		"http://203.0.113.7:8000": true, "http://[2001:db8::1]": true, "https://203.0.113.7": false,
		"http://127.0.0.1:8000": false, "http://localhost:8000": false, "http://192.168.1.5:8000": false, "http://10.0.0.5": false,
		"http://100.64.3.2:8000": false, "http://[fd00::5]:8000": false, "http://169.254.3.4": false, "http://[fe80::1]": false,
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		addresses["http://"+net.JoinHostPort(a.(*net.IPNet).IP.String(), "8000")] = false
	}
	for address, want := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := engine.InTheOpen(patiently(t), u); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

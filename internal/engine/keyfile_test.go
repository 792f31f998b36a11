package engine_test

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// A file of keys that cannot be used is told of also where no engine refuses: one may list its models for everybody. The log
// says so once, and again where something else is wrong with it.
func TestBadFileOfKeysIsTold(t *testing.T) {
	t.Parallel()
	looks := make(chan struct{}, 10000)
	open := func() string {
		return serve(t, map[string]http.HandlerFunc{"GET /v1/models": func(w http.ResponseWriter, r *http.Request) {
			text(`{"data":[{"id":"m"}]}`)(w, r)
			looks <- struct{}{}
		}}).URL
	}
	cfg := quick(nowhere, open(), open())
	cfg.Keys = keyFile(t, "one\n")
	for _, d := range inspectWith(t, cfg) {
		if !strings.Contains(d.KeyFile, "line 1 of "+cfg.Keys) {
			t.Errorf("%+v", d)
		}
	}
	log := &logged{}
	_, stop := watchLogged(t, cfg, slog.New(slog.NewTextHandler(log, nil)))
	some := func() {
		t.Helper()
		for range len(looks) + 8 {
			select {
			case <-looks:
			case <-patiently(t).Done():
				t.Fatal("it is looked at no more")
			}
		}
	}
	some()
	if strings.Count(log.String(), "line 1 of") != 1 {
		t.Errorf("the log does not say once that the file is bad:\n%s", log)
	}
	writeKeys(t, cfg.Keys, "\ntwo\n")
	some()
	stop()
	if !strings.Contains(log.String(), "line 2 of") || strings.Contains(log.String(), "two") {
		t.Errorf("the log does not say what is wrong now:\n%s", log)
	}
}

// An address is the same however it is written, and has one key.
func TestAddressesOfKeys(t *testing.T) {
	t.Parallel()
	g := guard(t, openAI(t, nil).URL)
	cfg := quick(nowhere, strings.Replace(g.URL, "127.0.0.1", "LocalHost", 1))
	shouted := strings.Replace(strings.Replace(g.URL, "127.0.0.1", "LOCALHOST", 1), "http", "HTTP", 1)
	cfg.Keys = keyFile(t, shouted+" "+rightKey)
	if d := inspectWith(t, cfg)[0]; d.Error != "" {
		t.Errorf("%+v", d)
	}
	cfg.Keys = keyFile(t, shouted+" "+rightKey+"\n"+cfg.URLs[0]+"/v1 "+rightKey)
	if d := inspectWith(t, cfg)[0]; d.Error != "" || d.KeyFile != "" {
		t.Errorf("the same key twice: %+v", d)
	}
	cfg.Keys = keyFile(t, shouted+" "+rightKey+"\n"+cfg.URLs[0]+"/v1 "+wrongKey)
	if d := inspectWith(t, cfg)[0]; !strings.Contains(d.KeyFile, "line 2 of "+cfg.Keys+" has another key for the address of a line before it") {
		t.Errorf("%+v", d)
	}
}

// What is said of a file names all of its path.
func TestRelativeFileOfKeys(t *testing.T) {
	g := guard(t, openAI(t, nil).URL)
	path := keyFile(t, g.URL)
	t.Chdir(filepath.Dir(path))
	cfg := quick(nowhere, g.URL)
	cfg.Keys = filepath.Base(path)
	if d := inspectWith(t, cfg)[0]; !strings.Contains(d.Hint, path) {
		t.Errorf("%+v, want %s", d, path)
	}
}

package engine

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Only what an Ollama on loopback may have refused for its name is asked again by that of localhost: a proxy, or a server of
// several names, would take it for another's.
func TestNoOtherNameForWhatIsGuarded(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var hosts []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		hosts = append(hosts, r.Host)
		mu.Unlock()
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	there, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	key := &secret{}
	key.had.Store(&[]string{"sk-1"})
	for name, c := range map[string]struct {
		kind  string
		key   *secret
		user  *url.Userinfo
		proxy *url.URL
		again bool
	}{
		"an Ollama":        {kind: KindOllama, again: true},
		"not yet known":    {kind: "engine", again: true},
		"another kind":     {kind: KindOpenAI},
		"with a key":       {kind: KindOllama, key: key},
		"with a password":  {kind: KindOllama, user: url.UserPassword("u", "p")},
		"through a proxy":  {kind: KindOllama, proxy: there},
		"a key, and proxy": {kind: KindOllama, key: key, proxy: there},
	} {
		base := *there
		base.User = c.user
		cl := newClient(c.kind, &base, c.key)
		cl.http.other.DisableKeepAlives = true
		cl.http.other.Proxy = http.ProxyURL(c.proxy)
		mu.Lock()
		hosts = nil
		mu.Unlock()
		if err := cl.get(t.Context(), "/api/tags", &struct{}{}); err == nil {
			t.Errorf("%s: no error", name)
		}
		mu.Lock()
		if slices.Contains(hosts, "localhost") != c.again || len(hosts) == 0 {
			t.Errorf("%s: asked by %q", name, hosts)
		}
		mu.Unlock()
	}
}

// A proxy reads what goes through it in plain HTTP.
func TestNoProxyForAKeyInTheOpen(t *testing.T) {
	t.Parallel()
	for address, keyed := range map[string]bool{"http://gpu.test:8000/v1/models": true, "https://gpu.test/v1/models": false} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		via, err := proxy(req)
		if err != nil || via == nil {
			t.Errorf("%s: without a key through %v, %v, want the proxy of the environment", address, via, err)
		}
		req.Header.Set("Authorization", "Bearer sk-1")
		if via, err = proxy(req); err != nil || (via == nil) != keyed {
			t.Errorf("%s: with a key through %v, %v", address, via, err)
		}
	}
}

// What cannot be read is told with what to do.
func TestUnreadableFileOfKeys(t *testing.T) {
	t.Parallel()
	err := keyFile("/k").unreadable(&fs.PathError{Op: "open", Path: "/k", Err: fs.ErrPermission})
	want := fmt.Sprintf("sudo chown %d /k && sudo chmod 600 /k", os.Getuid())
	if runtime.GOOS != "windows" && !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "embed"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// page is what a person who runs mycod is led to. It tries all it can, and sends the outcome home.
//
//go:embed testdata/page.html
var page string

// browsers are the names that one of them goes by.
var browsers = []string{"chromium", "google-chrome", "chromium-browser"}

// attempt is what became of one try of the page.
type attempt struct {
	Name string `json:"name"`
	Read string `json:"read"` // what the page could read, if anything
	Err  string `json:"err"`
}

// siteServer serves the page and takes its report.
type siteServer struct {
	*httptest.Server
	report chan []attempt
}

func newSite(t *testing.T, targets map[string]string) *siteServer {
	t.Helper()
	s := &siteServer{report: make(chan []attempt, 4)}
	conf, err := json.Marshal(targets)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, strings.Replace(page, "TARGETS", string(conf), 1)) // to a browser that may be gone
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var got []attempt
		if json.NewDecoder(r.Body).Decode(&got) == nil {
			s.report <- got
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// naive is a server without defences: what a page may do to it, it may do to any.
func naive(t *testing.T, count *atomic.Int64) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		if r.Method == http.MethodPost {
			count.Add(1)
		}
		_, _ = io.WriteString(w, "naive") // to a browser that may be gone
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// rebinder is what the name evil.test leads to: the site's server once, for the page, and the
// daemon's port from then on, as if its name had been pointed there meanwhile. To the browser both
// are one origin.
func rebinder(t *testing.T, site, daemon string) (addr string, forwarded *atomic.Int64) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	forwarded = &atomic.Int64{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := daemon
		if own := r.Method + " " + r.URL.Path; own == "GET /" || own == "POST /report" {
			to = site
		} else {
			forwarded.Add(1)
		}
		// Byte for byte what the browser sent, its Host above all.
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", to, ""
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body) // to a browser that may be gone
	})
	s := &http.Server{Handler: handler, ReadHeaderTimeout: harness.Patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ln) // until it is closed
	}()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return ln.Addr().String(), forwarded
}

// browse opens url in a browser of its own, until the page has reported.
func browse(t *testing.T, browser, url string, report <-chan []attempt) []attempt {
	t.Helper()
	dir := t.TempDir()
	p := harness.Launch(t, filepath.Join(dir, "chromium.log"), append(os.Environ(), "HOME="+dir), []string{
		browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir=" + filepath.Join(dir, "profile"),
		"--host-resolver-rules=MAP evil.test 127.0.0.1", "--remote-debugging-port=0", url,
	}, "")
	defer p.Kill()
	limit := time.NewTimer(2 * harness.Patience)
	defer limit.Stop()
	select {
	case got := <-report:
		return got
	case <-p.Exited():
		t.Fatalf("the browser ended before the page had reported:\n%s", p.Log(40))
	case <-limit.C:
		t.Fatalf("the page has not reported:\n%s", p.Log(40))
	}
	return nil
}

// TestWebPage opens a hostile page in a real browser, from another origin on loopback and from a
// name that is pointed at the daemon after the page has loaded. It reads nothing and changes nothing.
func TestWebPage(t *testing.T) {
	i := slices.IndexFunc(browsers, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
	if i < 0 {
		t.Skipf("there is none of %q: apt-get install chromium", browsers)
	}
	s := harness.New(t, programs)
	var ledger engine.Ledger
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	awaitModel(t, a, "a", engine.Model, true)
	tasks := submissions(t, a)
	var naivePosts atomic.Int64
	http1, bus1 := a.Info.HTTPURL, "http"+strings.TrimPrefix(a.Info.BusURL, "nats")
	targets := map[string]string{"http": http1, "bus": bus1, "fabric": "http://" + a.Info.FabricAddr, "join": "http://" + a.Info.JoinAddr, "naive": naive(t, &naivePosts)}
	site := newSite(t, targets)
	secrets := []string{string(a.Info.NodeID), a.View(t).Swarm.ID, engine.Model, "node_id", "server_id", "INFO {"}

	tried := 0
	check := func(from string, got []attempt) {
		t.Helper()
		control := false
		for _, tried := range got {
			if tried.Name == "naive fetch" {
				control = tried.Read == "naive"
				continue
			}
			// What is read is a refusal to a name that is not the machine's, or nothing.
			for _, secret := range secrets {
				if strings.Contains(tried.Read, secret) {
					t.Errorf("%s: %s reads %q", from, tried.Name, tried.Read)
				}
			}
			if tried.Read != "" && !strings.Contains(tried.Read, "not called") {
				t.Errorf("%s: %s is answered with %q", from, tried.Name, tried.Read)
			}
		}
		tried += len(got) - 2 // the two at a server without defences apart
		if !control || len(got) < 20 {
			t.Errorf("%s: %d attempts, and a server without defences is read: %v; want it so: %+v", from, len(got), control, got)
		}
	}
	check("from another port", browse(t, browsers[i], site.URL, site.report))
	addr, forwarded := rebinder(t, strings.TrimPrefix(site.URL, "http://"), strings.TrimPrefix(http1, "http://"))
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	check("from a name that is bound anew", browse(t, browsers[i], "http://evil.test:"+port+"/", site.report))
	if forwarded.Load() == 0 {
		t.Error("nothing of the page reached the daemon by its name: the test would see nothing")
	}
	if naivePosts.Load() == 0 {
		t.Error("the page changes nothing at a server without defences: the test would see nothing")
	}

	if k := tasks.Load(); k != 0 {
		t.Errorf("the page made %d tasks", k)
	}
	var list []bus.TaskInfo
	a.JSON(t, &list, "task", "ls", "--all")
	if len(list) != 0 {
		t.Errorf("tasks %+v, want none", list)
	}
	var v members
	a.JSON(t, &v, "nodes")
	if len(v.Nodes) != 1 {
		t.Errorf("members %+v, want a alone", v.Nodes)
	}
	harness.Settle(t, a)
	if runs := ledger.Runs(); len(runs) != 0 {
		t.Errorf("the page had the engine work: %+v", runs)
	}
	question := `{"model":"scripted","messages":[{"role":"user","content":"hi"}]}`
	if got := httpDo(t, a, http.MethodPost, "/api/chat", question, func(r *http.Request) { r.Header.Del("Authorization") }); got.status != http.StatusOK {
		t.Errorf("a program without a key, afterwards: %+v", got)
	}
	if got := httpDo(t, a, http.MethodPost, "/task", `{"type":"ping"}`); got.status != http.StatusOK || len(got.body) == 0 {
		t.Errorf("a program, afterwards: %+v", got)
	}
	reach(t, "browser", tried, fmt.Sprintf("%d attempts: 0 tasks, 0 nodes, 0 answers read", tried))
}

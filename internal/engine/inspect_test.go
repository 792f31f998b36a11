package engine_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// inspect looks at urls alone, with own as this machine's addresses.
func inspect(t *testing.T, own []netip.Addr, urls ...string) []bus.EngineDiagnosis {
	t.Helper()
	got, err := engine.Inspect(patiently(t), engine.Config{
		URLs: urls, NoDemo: true, Env: nowhere, ProbeTimeout: 5 * time.Second,
	}, own)
	if err != nil || len(got) != len(urls)+1 {
		t.Fatalf("%+v, %v; want one for each address, and the default one", got, err)
	}
	if d := got[len(urls)]; d.Asked || d.Error == "" || d.Kind != "" {
		t.Errorf("default address: %+v", d)
	}
	return got
}

func TestInspect(t *testing.T) {
	t.Parallel()
	s := ollama(t, nil)
	got := inspect(t, nil, s.URL, "127.0.0.1:2")
	if d := got[0]; d.Kind != engine.KindOllama || d.URL != s.URL || len(d.Models) == 0 || !d.Asked || d.Error != "" || d.Hung || d.Open != nil {
		t.Errorf("an engine: %+v", d)
	}
	if d := got[1]; d.Kind != "" || d.Error == "" || d.Hung || !d.Asked {
		t.Errorf("nothing: %+v", d)
	}
	if _, err := engine.Inspect(t.Context(), engine.Config{URLs: []string{"ftp://x"}}, nil); err == nil {
		t.Error("a bad address: no error")
	}
}

// What takes connections and says nothing hangs.
func TestInspectSeesHung(t *testing.T) {
	t.Parallel()
	got, err := engine.Inspect(patiently(t), engine.Config{
		URLs: []string{silent(t)}, NoDemo: true, Env: nowhere, ProbeTimeout: 100 * time.Millisecond,
	}, nil)
	if err != nil || !got[0].Hung || got[0].Error == "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// An engine that answers at an address which is not loopback is open.
func TestInspectSeesOpen(t *testing.T) {
	t.Parallel()
	s := ollama(t, nil)
	// 0.0.0.0 leads to loopback where it is dialled, and stands for an address on the LAN that
	// an engine listens on.
	lan := netip.IPv4Unspecified()
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	if d := inspect(t, []netip.Addr{netip.MustParseAddr("127.0.0.1"), lan}, s.URL)[0]; len(d.Open) != 1 || d.Open[0] != "0.0.0.0"+port {
		t.Errorf("%+v: want it open at 0.0.0.0", d)
	}
	if d := inspect(t, []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}, s.URL)[0]; d.Open != nil {
		t.Errorf("%+v: want it closed", d)
	}
}

// A llama-server with a key shows the list of its models to everybody, and is not open for that.
func TestInspectSeesAKeyBehindAnOpenList(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			text(`{"data":[{"id":"one","owned_by":"llamacpp"}]}`)(w, r)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	s.Start()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	lan := netip.MustParseAddr("0.0.0.0") // which leads to this machine, and is no loopback
	if d := inspect(t, []netip.Addr{netip.MustParseAddr("127.0.0.1"), lan}, "http://127.0.0.1:"+port)[0]; d.Open != nil {
		t.Errorf("it is told of as open at %v", d.Open)
	}
}

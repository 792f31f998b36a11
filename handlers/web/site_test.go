package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/web"
)

// site is a server of pages on loopback that counts who connects to it.
type site struct {
	*httptest.Server
	mux      *http.ServeMux
	connects atomic.Int64
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteAt(t, "127.0.0.1:0")
}

func newSiteAt(t *testing.T, addr string) *site {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{mux: http.NewServeMux()}
	s.Server = &httptest.Server{Listener: ln, Config: &http.Server{
		Handler: s.mux, ReadHeaderTimeout: time.Minute,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.connects.Add(1)
			}
		},
	}}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// page has the site answer at path.
func (s *site) page(path, contentType, body string) {
	s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(body)) // who reads may have enough
	})
}

func (s *site) port(t *testing.T) uint16 {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

// open is a handler that may fetch from s.
func (s *site) open(t *testing.T, change ...func(*web.Config)) *web.Handler {
	t.Helper()
	cfg := web.Config{Policy: web.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Ports: []uint16{s.port(t)}}}
	for _, c := range change {
		c(&cfg)
	}
	return web.New(cfg)
}

// fetch has h run one task.
func fetch(ctx context.Context, t *testing.T, h *web.Handler, req bus.FetchRequest) (bus.FetchResult, error) {
	t.Helper()
	payload, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	res, err := h.Handle(ctx, &bus.Task{ID: "t1", Type: bus.TypeFetch, Payload: payload}, nil)
	r, ok := res.(bus.FetchResult)
	if err == nil && !ok {
		t.Fatalf("the result is a %T", res)
	}
	return r, err
}

// get fetches from s, and wants no error.
func (s *site) get(t *testing.T, path string, change ...func(*bus.FetchRequest)) bus.FetchResult {
	t.Helper()
	req := bus.FetchRequest{URL: s.URL + path}
	for _, c := range change {
		c(&req)
	}
	r, err := fetch(t.Context(), t, s.open(t), req)
	if err != nil {
		t.Fatalf("fetch %s: %v", path, err)
	}
	return r
}

func codeOf(err error) bus.Code {
	var e *bus.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

package gateway_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// logIn shows a key to the login page, from another machine.
func logIn(t *testing.T, g http.Handler, key string) *httptest.ResponseRecorder {
	t.Helper()
	return from(t, g, afar, "POST", "/ui/login", url.Values{"key": {key}}.Encode(), "Authorization", "",
		"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
}

// shows is the status of a request of a browser on another machine, with a session.
func shows(t *testing.T, g http.Handler, session *http.Cookie, method, target, body string) int {
	t.Helper()
	return from(t, g, afar, method, target, body, "Authorization", "", "Cookie", session.Name+"="+session.Value).Code
}

// From another machine a browser is asked for a key, which it does not keep: its session shows the dashboard
// and nothing else, and is no key.
func TestLogin(t *testing.T) {
	t.Parallel()
	admin, secret := made("admin", bus.KeyRequest{Admin: true})
	plain, weak := made("plain", bus.KeyRequest{})
	g := newDashboard(t, newBusy(), admin, plain)
	if w := from(t, g, afar, "GET", "/ui/", "", "Authorization", "", "Accept", browser); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `name="key"`) {
		t.Errorf("without a session: %d %s", w.Code, w.Body)
	}
	for wrong, want := range map[string]int{"": 401, "wrong": 401, weak: 403, bus.KeyPrefix + "revoked": 401, strings.Repeat("x", 5000): 413} {
		if w := logIn(t, g, wrong); w.Code != want || len(w.Result().Cookies()) > 0 {
			t.Errorf("with %.20q: %d, want %d and no cookie", wrong, w.Code, want)
		}
	}
	for who, k := range map[string]string{"the owner": key, "an admin": " " + secret + "\n"} {
		w := logIn(t, g, k)
		cookies := w.Result().Cookies()
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/ui/" || len(cookies) != 1 {
			t.Fatalf("%s: %d %v", who, w.Code, w.Header())
		}
		c := cookies[0]
		if c.Secure {
			t.Errorf("%s: the session of plain HTTP is for HTTPS alone", who)
		}
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/ui/" || strings.Contains(c.Value, strings.TrimSpace(k)) {
			t.Errorf("%s: the cookie %v", who, c)
		}
		for _, target := range []string{"/ui/", "/ui/events?once=1", "/ui/tasks/young"} {
			if got := shows(t, g, c, "GET", target, ""); got != http.StatusOK {
				t.Errorf("%s at %s: %d", who, target, got)
			}
		}
		for _, route := range gateway.Routes() {
			if sees(route) || open(route) {
				continue
			}
			method, target := path(route)
			if got := shows(t, g, c, method, target, dialectRoutes[route]); got != http.StatusUnauthorized {
				t.Errorf("%s has %s with a session: %d", who, route, got)
			}
		}
		if w := from(t, g, afar, "GET", "/ui/events?once=1", "", "Authorization", "Bearer "+c.Value); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: the session is a key: %d", who, w.Code)
		}
		end, mac, _ := strings.Cut(c.Value, ".")
		for what, forged := range map[string]string{"a later end": "9" + end + "." + mac, "another": end + "." + mac[:len(mac)-2] + "AA", "none": end, "words": "x." + mac, "over": "1." + mac} {
			if got := shows(t, g, &http.Cookie{Name: c.Name, Value: forged}, "GET", "/ui/events?once=1", ""); got != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d", who, what, got)
			}
		}
		out := from(t, g, afar, "POST", "/ui/logout", "", "Authorization", "", "Cookie", c.Name+"="+c.Value)
		if gone := out.Result().Cookies(); len(gone) != 1 || gone[0].MaxAge >= 0 || gone[0].Name != c.Name {
			t.Errorf("%s logs out: %d %v", who, out.Code, gone)
		}
	}
}

// A session ends with its key, and so does what is being told.
func TestSessionsEndWithTheirKeys(t *testing.T) {
	t.Parallel()
	admin, secret := made("admin", bus.KeyRequest{Admin: true})
	g := newDashboard(t, newBusy(), admin)
	cookies := map[string]*http.Cookie{}
	for who, k := range map[string]string{"the owner": key, "an admin": secret} {
		cookies[who] = logIn(t, g, k).Result().Cookies()[0]
	}
	told := make(chan int, 1)
	go func() { told <- shows(t, g, cookies["an admin"], "GET", "/ui/events", "") }()
	if got := shows(t, g, cookies["an admin"], "GET", "/ui/events?once=1", ""); got != http.StatusOK {
		t.Fatalf("an admin: %d", got)
	}
	g.SetKeys(nil)
	<-told
	if got := shows(t, g, cookies["an admin"], "GET", "/ui/events?once=1", ""); got != http.StatusUnauthorized {
		t.Errorf("with a key that was revoked: %d", got)
	}
	if got := shows(t, g, cookies["the owner"], "GET", "/ui/", ""); got != http.StatusOK {
		t.Errorf("the owner meanwhile: %d", got)
	}
	g.SetKey("another")
	if got := shows(t, g, cookies["the owner"], "GET", "/ui/", ""); got != http.StatusUnauthorized {
		t.Errorf("with a key that was replaced: %d", got)
	}
}

// A session that began over HTTPS is never sent in plain.
func TestSessionOfHTTPSStaysThere(t *testing.T) {
	t.Parallel()
	g := newDashboard(t, newBusy())
	encrypted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.TLS = &tls.ConnectionState{}
		g.ServeHTTP(w, r)
	})
	w := logIn(t, encrypted, key)
	if cookies := w.Result().Cookies(); len(cookies) != 1 || !cookies[0].Secure {
		t.Errorf("%d %v", w.Code, cookies)
	}
}

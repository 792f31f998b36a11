package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/gateway"
)

// Pages of the sites and apps that the owner trusts may call the interfaces of others, and read the answers; those of others may
// not, and none may call the swarm's own.
func TestOrigins(t *testing.T) {
	t.Parallel()
	const trusted, app, foreign = "https://chat.example.org", "chrome-extension://abc", "https://chat.example.org.evil.example"
	o, _ := newOracle(t, paris())
	g, err := gateway.New(gateway.Config{Swarm: o, Key: key, Origins: []string{trusted, "chrome-extension://*"}})
	if err != nil {
		t.Fatal(err)
	}
	may := func(w *httptest.ResponseRecorder) string { return w.Header().Get("Access-Control-Allow-Origin") }
	const chat, body = "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"?"}]}`
	for _, origin := range []string{trusted, app} {
		asks := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,x-stainless-os"}
		w := local(t, g, http.MethodOptions, chat, "", append(asks, "Origin", origin)...)
		if w.Code != http.StatusNoContent || may(w) != origin || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "x-stainless-os") ||
			!strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "DELETE") {
			t.Errorf("%s asks what it may: %d %v", origin, w.Code, w.Header())
		}
		for target, body := range map[string]string{chat: body, "/v1/messages": `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"?"}]}`, "/api/chat": body} {
			if w := local(t, g, "POST", target, body, "Origin", origin, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusOK || may(w) != origin {
				t.Errorf("%s at %s: %d %s, readable by %q", origin, target, w.Code, w.Body, may(w))
			}
		}
		for _, target := range []string{"/api/tags", "/v1/models", "/"} {
			if w := local(t, g, "GET", target, "", "Origin", origin); w.Code != http.StatusOK || may(w) != origin {
				t.Errorf("%s at %s: %d, readable by %q", origin, target, w.Code, may(w))
			}
		}
		// Where its base URL has no /v1 it reads that.
		for _, target := range []string{"/chat/completions", "/messages"} {
			if w := local(t, g, http.MethodOptions, target, "", append(asks, "Origin", origin)...); w.Code != http.StatusNoContent || may(w) != origin {
				t.Errorf("%s asks what it may at %s: %d %v", origin, target, w.Code, w.Header())
			}
			if w := local(t, g, "POST", target, body, "Origin", origin, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusNotFound || may(w) != origin || !strings.Contains(w.Body.String(), "/v1"+target) {
				t.Errorf("%s at %s: %d %s, readable by %q", origin, target, w.Code, w.Body, may(w))
			}
			if w := local(t, g, "POST", target, body, "Origin", foreign, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden || may(w) != "" {
				t.Errorf("%s at %s: %d %s, readable by %q", foreign, target, w.Code, w.Body, may(w))
			}
			if w := from(t, g, "192.0.2.7:5", "POST", target, body, "Origin", origin, "Authorization", "Bearer wrong"); w.Code != http.StatusUnauthorized || may(w) != origin || at(object(t, w), "error", "type") != "authentication_error" {
				t.Errorf("%s at %s with a wrong key: %d %s, readable by %q", origin, target, w.Code, w.Body, may(w))
			}
		}
		// From elsewhere it needs a key, and reads that it does.
		if w := from(t, g, "192.0.2.7:5", "POST", chat, body, "Origin", origin, "Authorization", "Bearer wrong"); w.Code != http.StatusUnauthorized || may(w) != origin {
			t.Errorf("%s with a wrong key: %d, readable by %q", origin, w.Code, may(w))
		}
		// With the owner's key, too: the swarm's own interface is for no page.
		for _, target := range []string{"/task", "/v1/../task"} {
			if w := call(t, g, "POST", target, `{"type":"ping","payload":{}}`, "Origin", origin, "Sec-Fetch-Site", "cross-site"); w.Code < 300 || target == "/task" && may(w) != "" {
				t.Errorf("%s at %s: %d %s, readable by %q", origin, target, w.Code, w.Body, may(w))
			}
		}
		if w := local(t, g, "GET", "/ui/", "", "Origin", origin); may(w) != "" {
			t.Errorf("%s may read the dashboard", origin)
		}
		if w := local(t, g, "POST", chat, body, "Origin", origin, "Host", "evil.example"); w.Code != http.StatusForbidden {
			t.Errorf("%s at a foreign name: %d", origin, w.Code)
		}
	}
	// Who comes back to an answer from elsewhere reads it by his own origin, not by that of who has asked.
	streamed := strings.Replace(body, "{", `{"stream":true,`, 1)
	if w := local(t, g, "POST", chat, streamed, "Origin", trusted, "X-Myco-Answer", answerName); w.Code != http.StatusOK || may(w) != trusted {
		t.Errorf("a kept answer: %d %s, readable by %q", w.Code, w.Body, may(w))
	}
	for origin, want := range map[string]string{app: app, trusted: trusted, foreign: "", "": ""} {
		if w := local(t, g, "GET", "/v1/answers/"+answerName, "", "Origin", origin); w.Code != http.StatusOK || may(w) != want {
			t.Errorf("a kept answer, from %q: %d, readable by %q", origin, w.Code, may(w))
		}
	}
	for _, origin := range []string{foreign, "null", "http://chat.example.org", trusted + ":8443", "moz-extension://abc", "chrome-extension"} {
		before := len(o.tasks)
		w := local(t, g, "POST", chat, body, "Origin", origin, "Sec-Fetch-Site", "cross-site")
		if hint := "mycod --http-origin " + origin; w.Code != http.StatusForbidden || may(w) != "" || len(o.tasks) > before || strings.Contains(w.Body.String(), hint) != strings.Contains(origin, "://") {
			t.Errorf("%s: %d %s, readable by %q", origin, w.Code, w.Body, may(w))
		}
		if w := local(t, g, http.MethodOptions, chat, "", "Access-Control-Request-Method", "POST", "Origin", origin); w.Code < 300 || may(w) != "" {
			t.Errorf("%s asks what it may: %d, readable by %q", origin, w.Code, may(w))
		}
	}
}

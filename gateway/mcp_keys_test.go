package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/gateway"
)

// A program that comes to /mcp without a key, and looks for OAuth then, hears that there is none, and what it needs instead.
func TestProgramsThatLookForOAuth(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, err := gateway.New(gateway.Config{MCP: tools, Swarm: o, Key: key, KeyAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{afar, "127.0.0.1:5"} {
		w := from(t, g, addr, "POST", "/mcp", `{}`, "Authorization", "")
		if challenge := w.Header().Get("WWW-Authenticate"); w.Code != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer ") || strings.Contains(challenge, "resource_metadata") {
			t.Errorf("from %s: %d %v", addr, w.Code, w.Header())
		}
		for _, path := range []string{"oauth-protected-resource", "oauth-protected-resource/mcp", "oauth-authorization-server", "openid-configuration", ""} {
			w := from(t, g, addr, "GET", "/.well-known/"+path, "", "Authorization", "")
			if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no OAuth") || !strings.Contains(w.Body.String(), "myco key create") {
				t.Errorf("%s from %s: %d %s", path, addr, w.Code, w.Body)
			}
		}
		w = from(t, g, addr, "POST", "/register", `{"client_name":"program"}`, "Authorization", "")
		var e struct {
			Error       string
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusForbidden || e.Error != "access_denied" || !strings.Contains(e.Description, "myco key create") {
			t.Errorf("registered from %s: %v in %d %s", addr, err, w.Code, w.Body)
		}
	}
}

package daemon_test

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// bearer presents a key.
func bearer(key string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) }
}

// wantsKeys wants a key of programs of this machine, too.
func wantsKeys(c *config.Config) { c.HTTPKey = true }

// A key works as soon as it is made, also after a restart, and at no other node; it is nowhere on disk;
// once revoked it is refused, and what it has under way is cut.
func TestKeyOfANode(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	a := start(t, "a", wantsKeys, withEngine(t, &ledger, func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"first"}, Ending: engine.Hang}
	}))
	b := start(t, "b", wantsKeys, joining(a))
	if status, body := call(t, a, "GET", "/api/tags", "", bearer("x")); status != 401 || !strings.Contains(body, "myco key create") {
		t.Errorf("without a key: %d %s", status, body)
	}
	k, err := a.conn.CreateKey(a.ctx(), bus.KeyRequest{Name: "phone"})
	check(t, err)
	other, err := a.conn.CreateKey(a.ctx(), bus.KeyRequest{})
	check(t, err)
	tags := func(n *node, key string) int {
		t.Helper()
		status, _ := call(t, n, "GET", "/api/tags", "", bearer(key))
		return status
	}
	if got := tags(a, k.Key); got != 200 {
		t.Errorf("a new key: %d", got)
	}
	if got := tags(b, k.Key); got != 401 {
		t.Errorf("the key at another node: %d", got)
	}
	path := filepath.Join(a.cfg.DataDir, "keys.json")
	content, err := os.ReadFile(path)
	check(t, err)
	mode, err := os.Stat(path)
	check(t, err)
	if strings.Contains(string(content), strings.TrimPrefix(k.Key, bus.KeyPrefix)) || !strings.Contains(string(content), k.ID) ||
		mode.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %v, %s", mode.Mode(), content)
	}

	check(t, a.stop())
	a.run()
	if got := tags(a, k.Key); got != 200 {
		t.Errorf("the key after a restart: %d", got)
	}
	eventually(t, "the model is known", func() string {
		if _, body := call(t, a, "GET", "/v1/models", "", bearer(k.Key)); !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	resp := open(t, a, "/api/chat", `{"model":"scripted","messages":[{"role":"user","content":"x"}]}`, bearer(k.Key))
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	first, err := lines.ReadString('\n')
	check(t, err)
	if !strings.Contains(first, "first") {
		t.Errorf("the answer begins with %s", first)
	}
	gone, err := a.conn.RevokeKey(a.ctx(), k.ID)
	check(t, err)
	if gone.Name != "phone" {
		t.Errorf("revoked %+v", gone)
	}
	if last, err := lines.ReadString('\n'); err != nil || !strings.Contains(last, "revoked") {
		t.Errorf("what was under way ends with %q, %v", last, err)
	}
	if got := tags(a, k.Key); got != 401 {
		t.Errorf("the key that was revoked: %d", got)
	}
	if got := tags(a, other.Key); got != 200 {
		t.Errorf("the other key: %d", got)
	}
	if left, err := a.conn.Keys(a.ctx()); err != nil || len(left) != 1 || left[0].ID != other.ID {
		t.Errorf("keys %+v, %v", left, err)
	}
	if _, err := a.conn.RevokeKey(a.ctx(), k.ID); bus.AsError(err).Code != bus.CodeNotFound {
		t.Errorf("revoked twice: %v", err)
	}
	check(t, a.stop())
	a.run()
	if got := tags(a, k.Key); got != 401 {
		t.Errorf("the key that was revoked, after a restart: %d", got)
	}
}

// A file of keys that cannot be read, or is of a later version, is not passed over.
func TestDamagedKeys(t *testing.T) {
	t.Parallel()
	empty := strings.Repeat("0", 64)
	for content, c := range map[string]struct {
		says string
		code bus.Code
	}{
		`{`:                       {"damaged", bus.CodeForbidden},
		`{"version":2,"keys":[]}`: {"version 2", bus.CodeConflict},
		`{"version":1,"keys":[{"id":"a","sha256":"00"}]}`:                            {"damaged", bus.CodeForbidden},
		`{"version":1,"keys":[{"id":"a b","sha256":"` + empty + `"}]}`:               {"damaged", bus.CodeForbidden},
		`{"version":1,"keys":[{"id":"a","per_minute":-1,"sha256":"` + empty + `"}]}`: {"damaged", bus.CodeForbidden},
	} {
		n := newNode(t, "a")
		check(t, os.WriteFile(filepath.Join(n.cfg.DataDir, "keys.json"), []byte(content), 0o600))
		if e := n.refused(c.code); !strings.Contains(e.Message, c.says) || !strings.Contains(e.Hint, "remove the file") {
			t.Errorf("%s: %v, want it to say %q", content, e, c.says)
		}
	}
}

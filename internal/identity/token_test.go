package identity_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	addrs := []string{"192.168.1.20:7423", "[fd00::1]:7423", "[fe80::1%eth0]:7423", "gpu-box.local:65535"}
	token, _, err := h.Invite(addrs)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(token, "myco") || strings.ToLower(token) != token || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("%q is not one plain word", token)
	}
	mangled := []string{
		token, strings.ToUpper(token), " " + token + "\r\n", `"` + token + `"`, "\ufeff" + token,
		token[:40] + "\n  " + token[40:80] + "\r\n" + token[80:],
	}
	for _, text := range mangled {
		got, err := identity.ParseToken(text)
		if err != nil || !slices.Equal(got.Addrs, addrs) || got.Inviter != h.Fingerprint() {
			t.Errorf("parse %q: %+v, %v", text, got.Addrs, err)
		}
	}
}

// TestTokenMistakes: each one is noticed before anything is dialled.
func TestTokenMistakes(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	token := h.invite(t)
	swap := func(i int) string {
		b := []byte(token)
		b[i] = "ab"[map[bool]int{true: 1}[b[i] == 'a']]
		return string(b)
	}
	tests := map[string]string{
		"":                            "empty",
		" \n":                         "empty",
		"hello":                       "not a join token",
		"tskey-auth-abc":              "not a join token",
		"myco":                        "cut short",
		"myco1":                       "cut short",
		"myco1a":                      "cut short",
		"myco2" + token[5:]:           "this version",
		token[:len(token)-1]:          "cut short",
		token[:30]:                    "cut short",
		token + "aaaaaaaa":            "at its end",
		token + token:                 "mistyped",
		token[:20] + "!" + token[21:]: "mistyped",
		token[:20] + "0" + token[21:]: "mistyped",
		strings.Repeat("myco", 5000):  "too long",
	}
	for i := len("myco1") + 4; i < len(token); i++ { // behind the length
		tests[swap(i)] = "mistyped"
	}
	for text, says := range tests {
		_, err := identity.ParseToken(text)
		if !errors.Is(err, identity.ErrBadToken) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "myco invite") {
			t.Errorf("parse %.60q (%d characters): %v; want ErrBadToken, %q, and the next command", text, len(text), err, says)
		}
		if _, jerr := h.Join(within(t), text, ""); !errors.Is(jerr, identity.ErrBadToken) {
			t.Errorf("join with %.60q: %v", text, jerr)
		}
	}
	for i := 5; i < 9; i++ { // in the length: what it says may differ, that it fails may not
		if _, err := identity.ParseToken(swap(i)); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("a mistake at %d: %v", i, err)
		}
	}
}

func TestReadToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("myco1file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin := strings.NewReader("  myco1stdin\n")
	readFile := func(name string, _ int64) ([]byte, error) { return os.ReadFile(name) }
	for arg, want := range map[string]string{"myco1arg": "myco1arg", "@" + file: "myco1file", "-": "myco1stdin"} {
		if got, err := identity.ReadToken(arg, stdin, readFile); got != want || err != nil {
			t.Errorf("ReadToken(%q) = %q, %v; want %q", arg, got, err, want)
		}
	}
	for _, arg := range []string{"", "-", "@", "@" + file + "x", "@" + filepath.Dir(file)} {
		if got, err := identity.ReadToken(arg, stdin, readFile); !errors.Is(err, identity.ErrBadToken) {
			t.Errorf("ReadToken(%q) = %q, %v; want ErrBadToken", arg, got, err)
		}
	}
}

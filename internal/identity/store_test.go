package identity_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

func TestOpenFoundsOnceAndKeepsItsIdentity(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	a := open(t, dir, "anna", c)
	b := open(t, dir, "anna", c)
	if a.Fingerprint() != b.Fingerprint() || a.Swarm() != b.Swarm() {
		t.Errorf("a second Open gave another identity: %v and %v", a.Swarm(), b.Swarm())
	}
	cert, err := a.RouteTLS().GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	spki := cert.Leaf.RawSubjectPublicKeyInfo
	sum := sha256.Sum256(spki)
	want := hex.EncodeToString(sum[:])
	if string(a.Fingerprint()) != want {
		t.Errorf("fingerprint %s, want the SHA-256 of the SPKI %s", a.Fingerprint(), want)
	}
	if got := string(a.NodeID()); got != "myco-"+want[:12] || a.NodeID().Validate() != nil {
		t.Errorf("node id %q", got)
	}
	if _, ok := a.Pinned()[want]; !ok || len(a.Pinned()) != 1 {
		t.Errorf("pinned %v, want this node alone", a.Pinned())
	}
	if i := a.Swarm(); !i.Founder || i.Revoked || i.Name != "anna-swarm" || len(i.ID) != 64 {
		t.Errorf("swarm %+v", i)
	}
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	h.joined(t, "other")
	if err := h.Leave(); err != nil { // leaves an archive behind
		t.Fatal(err)
	}
	for _, name := range []string{".node.key.1", ".swarm.json.1"} { // as a process that is killed leaves them
		if err := os.WriteFile(filepath.Join(h.dir, "identity", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, h.dir, "host", h.clock)
	seen := 0
	err := filepath.WalkDir(filepath.Join(h.dir, "identity"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want && runtime.GOOS != "windows" { // whose modes are made up
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		seen++
		return nil
	})
	if err != nil || seen != 5 { // two directories, key, state, archive: no temporary file stays
		t.Errorf("walked %d entries, %v; want 5", seen, err)
	}
}

func TestOpenRefusesWhatItCannotTrust(t *testing.T) {
	t.Parallel()
	key, state := filepath.Join("identity", "node.key"), filepath.Join("identity", "swarm.json")
	rewrite := func(name, old, repl string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			b, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(b), old) {
				t.Fatalf("%s: %v, or no %q in it", name, err, old)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(string(b), old, repl, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	must := func(f func(dir string) error) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := f(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		spoil func(t *testing.T, dir string)
		says  string
	}{
		"readable key":   {must(func(d string) error { return os.Chmod(filepath.Join(d, key), 0o644) }), "chmod 600"},
		"readable state": {must(func(d string) error { return os.Chmod(filepath.Join(d, state), 0o640) }), "chmod 600"},
		"key missing":    {must(func(d string) error { return os.Remove(filepath.Join(d, key)) }), "node.key beside it is missing"},
		"key empty":      {must(func(d string) error { return os.Truncate(filepath.Join(d, key), 0) }), "damaged"},
		"key garbled":    {rewrite(key, "MC4", "MC5"), "damaged"},
		"key of another": {func(t *testing.T, d string) {
			other := t.TempDir()
			open(t, other, "bob", newClock())
			if err := os.Rename(filepath.Join(other, key), filepath.Join(d, key)); err != nil {
				t.Fatal(err)
			}
		}, "do not belong together"},
		"state cut":    {must(func(d string) error { return os.Truncate(filepath.Join(d, state), 100) }), "damaged"},
		"state forged": {rewrite(state, `\"name\":\"anna\"`, `\"name\":\"eve\"`), "damaged"},
		"state newer":  {rewrite(state, `"format": 1`, `"format": 2`), "newer mycod"},
		"state is a directory": {must(func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, state)), os.Mkdir(filepath.Join(d, state), 0o700))
		}), "not a regular file"},
		"directory is a file": {must(func(d string) error {
			return errors.Join(os.RemoveAll(filepath.Join(d, "identity")), os.WriteFile(filepath.Join(d, "identity"), nil, 0o600))
		}), "--data-dir"},
	}
	if runtime.GOOS == "windows" { // where the folder says who may read
		delete(tests, "readable key")
		delete(tests, "readable state")
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open(t, dir, "anna", newClock())
			tt.spoil(t, dir)
			before := snapshot(t, dir)
			_, err := identity.Open(dir, identity.Options{Name: "anna"})
			if !errors.Is(err, identity.ErrUnreadable) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want ErrUnreadable with %q", err, tt.says)
			}
			if after := snapshot(t, dir); !slices.Equal(before, after) {
				t.Errorf("Open changed what it refused:\n%q\n%q", before, after)
			}
		})
	}
}

// snapshot lists every file under dir with its content.
func snapshot(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out = append(out, path+": "+string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Who holds the key and is started by the name of another is told apart from it, as who joins by it.
func TestNameOfAnotherIsNotTaken(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	h.joined(t, "other")
	for range 2 {
		if got := open(t, h.dir, "Other", h.clock).Name(); got != "Other-2" {
			t.Errorf("renamed to the name of another it is %q, want Other-2", got)
		}
	}
	if got := open(t, h.dir, "host", h.clock).Name(); got != "host" {
		t.Errorf("renamed back it is %q, want host", got)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	open(t, dir, "anna", c)
	if got := open(t, dir, "berta", c).Name(); got != "berta" {
		t.Errorf("renamed to %q, want berta", got)
	}
	if got := open(t, dir, "", c).Name(); got != "berta" {
		t.Errorf("without a name it became %q", got)
	}
	for _, bad := range []string{"two words", "-dash", ".", "a/b", "tab\t", "\x1b[31m", strings.Repeat("x", 64), "\xff"} {
		if _, err := identity.Open(t.TempDir(), identity.Options{Name: bad}); !errors.Is(err, identity.ErrBadInput) {
			t.Errorf("name %q: %v, want ErrBadInput", bad, err)
		}
	}
	for in, want := range map[string]string{
		"gpu box!": "gpu-box", "": "node", "---": "node", "Küche": "Küche", "a\x00b": "a-b", "\xff": "node",
		strings.Repeat("é", 40): strings.Repeat("é", 31), "host.example": "host.example",
	} {
		if got := identity.CleanName(in); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRecoveryPhrase(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	m := h.joined(t, "member")
	if _, err := m.RecoveryPhrase(); !errors.Is(err, identity.ErrNotHolder) {
		t.Errorf("phrase on a member: %v, want ErrNotHolder", err)
	}
	phrase, err := h.RecoveryPhrase()
	if err != nil || len(strings.Split(phrase, "-")) != 14 {
		t.Fatalf("phrase %q, %v", phrase, err)
	}
	wrong := []byte(phrase)
	wrong[7] = "ab"[map[bool]int{true: 1}[wrong[7] == 'a']]
	for _, bad := range []string{"", phrase[:20], string(wrong), strings.Replace(phrase, "-", "0", 1), phrase + "aaaa"} {
		if err := m.Restore(bad); !errors.Is(err, identity.ErrBadPhrase) {
			t.Errorf("restore %q: %v, want ErrBadPhrase", bad, err)
		}
	}
	stranger := newHost(t, "stranger")
	if err := stranger.Restore(phrase); !errors.Is(err, identity.ErrForeign) {
		t.Errorf("restore in another swarm: %v, want ErrForeign", err)
	}
	if err := m.Restore(strings.ToUpper(strings.ReplaceAll(phrase, "-", "  "))); err != nil {
		t.Fatalf("restore: %v", err)
	}
	if !m.Swarm().Founder {
		t.Error("a member with the phrase is no holder")
	}
	spread(t, m, h.Store)
	addr := serve(t, m)
	token, _, err := m.Invite([]string{addr})
	if err != nil {
		t.Fatalf("invite by the restored holder: %v", err)
	}
	third := open(t, t.TempDir(), "third", h.clock)
	join(t, third, token)
	spread(t, third, h.Store)
	if got, want := names(h.Store), []string{"host", "member", "third"}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
}

package daemon_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// member waits until n's roster says of another what want does.
func member(t *testing.T, n, of *node, what string, want func(bus.Member) bool) bus.Member {
	t.Helper()
	var got bus.Member
	eventually(t, n.cfg.Name+" knows: "+what, func() string {
		r, err := n.conn.Roster(n.ctx())
		check(t, err)
		for _, got = range r.Members {
			if got.ID == of.id() && want(got) {
				return ""
			}
		}
		b, err := json.Marshal(r)
		check(t, err)
		return string(b)
	})
	return got
}

func isHolder(m bus.Member) bool  { return m.Holder }
func isRevoked(m bus.Member) bool { return m.State == bus.NodeRevoked }

// refusal wants an error of that code which says all of says, in message or hint.
func refusal(t *testing.T, what string, err error, code bus.Code, says ...string) {
	t.Helper()
	e := bus.AsError(err)
	if e == nil || e.Code != code || e.Hint == "" {
		t.Errorf("%s: %v, want %s with a hint", what, err, code)
		return
	}
	for _, s := range says {
		if !strings.Contains(e.Message+"\n"+e.Hint, s) {
			t.Errorf("%s: %q, hint %q: want it to say %q", what, e.Message, e.Hint, s)
		}
	}
}

func TestPromotedNodeInvitesWithoutTheFounder(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b, c := start(t, "b", joining(a)), start(t, "c", joining(a))
	settle(t, a, b, c)
	_, err := b.conn.Invite(b.ctx(), 0)
	refusal(t, "invite without the key", err, bus.CodeForbidden, "a ("+string(a.id())+")")
	_, err = b.conn.Promote(b.ctx(), c.id())
	refusal(t, "promote without the key", err, bus.CodeForbidden, "a ("+string(a.id())+")")
	_, err = a.conn.Promote(a.ctx(), "myco-000000000000")
	refusal(t, "promote nobody", err, bus.CodeNotFound, "myco nodes")

	r, err := a.conn.Promote(a.ctx(), b.id())
	check(t, err)
	if !r.Changed || !r.Member.Holder || r.Member.ID != b.id() || r.Member.AddedBy != a.id() || r.Member.State != bus.NodeReady {
		t.Errorf("%+v, want b a holder, let in by a", r)
	}
	for _, n := range []*node{a, b, c} {
		member(t, n, b, "b holds the key", isHolder)
	}
	if r, err = a.conn.Promote(a.ctx(), b.id()); err != nil || r.Changed {
		t.Errorf("a second time: %+v, %v, want no change", r, err)
	}
	check(t, c.stop())
	eventually(t, "c is gone", func() string {
		_, err := b.conn.Promote(b.ctx(), c.id())
		if err == nil {
			return "it was promoted"
		}
		if !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
			t.Fatal(err)
		}
		return ""
	})

	check(t, a.stop())
	d := start(t, "d", joining(b))
	settle2(t, b, d)
	if m := member(t, d, d, "who let d in", func(bus.Member) bool { return true }); m.AddedBy != b.id() || m.Holder {
		t.Errorf("%+v, want d let in by b, without the key", m)
	}
	// It is b that can put d out as well.
	_, err = b.conn.Revoke(b.ctx(), d.id())
	check(t, err)
	eventually(t, "d knows", func() string {
		s, err := d.conn.Status(d.ctx())
		check(t, err)
		if s.Revoked == nil || s.Revoked.By != b.id() || s.Revoked.ByName != "b" {
			return "not yet, or wrong"
		}
		return ""
	})
}

func TestRevokedNodeIsOutAndKnows(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withDemo)
	b, c := start(t, "b", joining(a)), start(t, "c", joining(a))
	settle(t, a, b, c)
	listens := raw(t, c)
	heard, err := listens.SubscribeSync(bus.SubjectHeartbeats)
	check(t, err)

	_, err = c.conn.Revoke(c.ctx(), b.id())
	refusal(t, "revoke without the key", err, bus.CodeForbidden, "a ("+string(a.id())+")")
	_, err = a.conn.Revoke(a.ctx(), a.id())
	refusal(t, "revoke oneself", err, bus.CodeInvalid, "myco leave")
	_, err = a.conn.Revoke(a.ctx(), "myco-000000000000")
	refusal(t, "revoke nobody", err, bus.CodeNotFound, "myco nodes")

	r, err := a.conn.Revoke(a.ctx(), c.id())
	check(t, err)
	if !r.Changed || r.Member.State != bus.NodeRevoked || r.Member.EndedBy != a.id() {
		t.Errorf("%+v, want c put out by a", r)
	}
	settle(t, a, b)
	for _, n := range []*node{a, b} {
		if m := member(t, n, c, "c is out", isRevoked); m.EndedBy != a.id() || m.Ended.IsZero() {
			t.Errorf("%s: %+v, want c put out by a", n.cfg.Name, m)
		}
	}
	settle(t, c) // alone, and its own queue host
	s, err := c.conn.Status(c.ctx())
	check(t, err)
	if s.Revoked == nil || s.Revoked.By != a.id() || s.Revoked.ByName != "a" || s.Revoked.At.IsZero() || s.Node.ID != c.id() {
		t.Errorf("c of itself: %+v, want it put out by a", s.Revoked)
	}
	// From here on it hears nobody but itself: no route is left.
	check(t, listens.Flush())
	before, _, err := heard.Pending()
	check(t, err)
	for i := range before + 20 {
		m, err := heard.NextMsg(limit)
		check(t, err)
		if i >= before && m.Subject != bus.SubjectHeartbeat(c.id()) {
			t.Errorf("c heard %s", m.Subject)
		}
	}

	if r, err = a.conn.Revoke(a.ctx(), c.id()); err != nil || r.Changed {
		t.Errorf("a second time: %+v, %v, want no change", r, err)
	}
	_, err = c.conn.Invite(c.ctx(), 0)
	refusal(t, "invite after it was put out", err, bus.CodeForbidden, "put out", "myco leave")
	// A restart, with the token that it came with, changes nothing.
	check(t, c.stop())
	c.run()
	settle(t, c)
	paris(t, last(t, b, inference(t)), a)
	left, err := c.conn.Leave(c.ctx())
	check(t, err)
	s, err = c.conn.Status(c.ctx())
	check(t, err)
	if !left.Changed || s.Revoked != nil {
		t.Errorf("after leave: %+v, revoked %+v, want a swarm of its own", left, s.Revoked)
	}
	_, err = c.conn.Invite(c.ctx(), 0)
	check(t, err)
}

func TestRecoverTheKeyFromItsPhrase(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a))
	settle(t, a, b)
	kept, err := identity.Open(a.cfg.DataDir, identity.Options{})
	check(t, err)
	phrase, err := kept.RecoveryPhrase()
	check(t, err)
	check(t, a.stop()) // for good, say
	_, err = b.conn.Recover(b.ctx(), phrase[:len(phrase)-1]+"1")
	refusal(t, "a phrase with a mistake", err, bus.CodeInvalid, "a to z")
	other := start(t, "other")
	_, err = other.conn.Recover(other.ctx(), phrase)
	refusal(t, "in another swarm", err, bus.CodeForbidden, "member of that swarm")
	r, err := b.conn.Recover(b.ctx(), phrase)
	check(t, err)
	if !r.Changed || !r.Member.Holder || r.Member.ID != b.id() {
		t.Errorf("%+v, want b a holder", r)
	}
	if r, err = b.conn.Recover(b.ctx(), phrase); err != nil || r.Changed {
		t.Errorf("a second time: %+v, %v, want no change", r, err)
	}
	m, err := raw(t, b).Request(bus.SubjectPayloadRPC(b.id(), bus.VerbRecover), []byte(`{"phrase":"`+phrase+`"}`), limit)
	if err != nil || m.Header.Get(bus.HeaderError) != "" {
		t.Errorf("by the name that older programs send: %v, %s", err, m.Data)
	}
	d := start(t, "d", joining(b))
	settle2(t, b, d)
}

// files are the credentials of n's users.
func files(t *testing.T, n *node) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range []string{bus.UserCreds, bus.ObserverCred, bus.HTTPKeyFile} {
		path := filepath.Join(n.cfg.DataDir, f)
		b, err := os.ReadFile(path)
		check(t, err)
		info, err := os.Stat(path)
		check(t, err)
		if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" { // there the folder tells, see TestDataDirIsPrivate
			t.Errorf("%s has mode %v, want 0600", f, info.Mode().Perm())
		}
		out[f] = strings.TrimSpace(string(b))
	}
	return out
}

func TestRotate(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	before := files(t, n)
	old := raw(t, n)
	cut := make(chan struct{})
	old.SetClosedHandler(func(*nats.Conn) { close(cut) })
	kept := filepath.Join(t.TempDir(), bus.UserCreds)
	check(t, os.WriteFile(kept, []byte(before[bus.UserCreds]), 0o600))

	r, err := n.conn.Rotate(n.ctx())
	check(t, err)
	if r.Dir != n.cfg.DataDir || len(r.Files) != 3 {
		t.Errorf("%+v, want three files in %s", r, n.cfg.DataDir)
	}
	select {
	case <-cut:
	case <-n.ctx().Done():
		t.Fatal("who was connected with the old credentials was not cut")
	}
	after := files(t, n)
	for f, was := range before {
		if after[f] == was {
			t.Errorf("%s is as before", f)
		}
	}
	if _, err := bus.Dial(n.ctx(), bus.WithURL(n.Info().BusURL, kept)); !errors.Is(err, &bus.Error{Code: bus.CodeForbidden}) {
		t.Errorf("with the old credentials: %v, want CodeForbidden", err)
	}
	eventually(t, "the program that asked is back", func() string {
		if _, err := n.conn.Ping(n.ctx()); err != nil {
			return err.Error()
		}
		return ""
	})
	with := func(key string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) }
	}
	if status, body := call(t, n, "GET", "/status", "", with(before[bus.HTTPKeyFile])); status != 401 {
		t.Errorf("HTTP with the old key: %d %s, want 401", status, body)
	}
	if status, body := call(t, n, "GET", "/status", "", with(after[bus.HTTPKeyFile])); status != 200 {
		t.Errorf("HTTP with the new key: %d %s, want 200", status, body)
	}
	// Routes change when somebody joins: nobody is cut for that.
	again := raw(t, n)
	b := start(t, "b", joining(n))
	settle(t, n, b)
	if !again.IsConnected() {
		t.Error("a client with the new credentials was cut when a node joined")
	}
	check(t, n.stop())
	n.run()
	if got := files(t, n); got[bus.UserCreds] != after[bus.UserCreds] {
		t.Error("a restart changed the credentials")
	}
}

// Credentials that cannot be kept are not used.
func TestRotateAllOrNothing(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	before := files(t, n)
	path := filepath.Join(n.cfg.DataDir, bus.HTTPKeyFile)
	check(t, os.Remove(path))
	check(t, os.Mkdir(path, 0o700))
	_, err := n.conn.Rotate(n.ctx())
	refusal(t, "rotate", err, bus.CodeForbidden, path)
	check(t, os.Remove(path))
	check(t, os.WriteFile(path, []byte(before[bus.HTTPKeyFile]), 0o600))
	for f, now := range files(t, n) {
		if now != before[f] {
			t.Errorf("%s has changed", f)
		}
	}
	if status, body := call(t, n, "GET", "/status", ""); status != 200 {
		t.Errorf("HTTP: %d %s, want 200", status, body)
	}
	raw(t, n)
	if _, err := n.conn.Ping(n.ctx()); err != nil {
		t.Error(err)
	}
	_, err = n.conn.Rotate(n.ctx())
	check(t, err)
}

// The swarm's key is replaced while everybody works: the members go along and no route is cut, one
// that was away follows when it is back, and the new key alone lets nodes in.
func TestRotateSwarm(t *testing.T) {
	t.Parallel()
	a := start(t, "a", withDemo)
	b, c := start(t, "b", joining(a)), start(t, "c", joining(a))
	settle(t, a, b, c)
	_, err := b.conn.RotateSwarm(b.ctx())
	refusal(t, "without the key", err, bus.CodeForbidden, "a ("+string(a.id())+")")
	_, err = a.conn.Promote(a.ctx(), b.id())
	check(t, err)
	early := a.invite()
	c.cfg.Join = "" // its token is used up
	check(t, c.stop())
	was, err := a.conn.Status(a.ctx())
	check(t, err)

	r, err := a.conn.RotateSwarm(a.ctx())
	check(t, err)
	if r.Swarm.ID == was.Swarm.ID || r.Swarm.Name != was.Swarm.Name || r.Swarm.Term != was.Swarm.Term || r.Phrase == "" || len(r.Members) != 3 {
		t.Errorf("%+v, want another id for %+v", r, was.Swarm)
	}
	follows := func(n *node) {
		t.Helper()
		eventually(t, n.cfg.Name+" goes along", func() string {
			s, err := n.conn.Status(n.ctx())
			check(t, err)
			if s.Swarm.ID != r.Swarm.ID {
				return s.Swarm.ID
			}
			return ""
		})
	}
	follows(b)
	settle2(t, a, b)
	paris(t, last(t, b, inference(t)), a)
	_, err = b.conn.Invite(b.ctx(), 0)
	refusal(t, "invite with the old key", err, bus.CodeForbidden, "a ("+string(a.id())+")")
	_ = newNode(t, "early", func(c *config.Config) { c.Join = early }).refused(bus.CodeForbidden)
	c.run()
	follows(c)
	d := start(t, "d", joining(a))
	settle(t, a, b, c, d)
	if _, err := b.conn.Recover(b.ctx(), r.Phrase); err != nil {
		t.Errorf("the new phrase: %v", err)
	}
}

// A member that has lost sight of its swarm, for all addresses have changed and no mDNS passes, is told where that is by
// a token of it. To join anew is not needed.
func TestTokenTellsAMemberWhereItsSwarmIs(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	token := a.invite()
	b := start(t, "b", func(c *config.Config) { c.Join = token })
	settle(t, a, b)
	b.cfg.Join = ""
	check(t, a.stop())
	check(t, b.stop())
	b.run()
	_, err := b.conn.Join(b.ctx(), token)
	if e := bus.AsError(err); err == nil || e.Code != bus.CodeUnavailable || !strings.Contains(e.Message, "does not answer") {
		t.Errorf("where nobody is to be found: %v", err)
	}
	a.run() // at other ports
	r, err := b.conn.Join(b.ctx(), a.invite())
	check(t, err)
	if r.Changed {
		t.Errorf("%+v, want no other swarm", r)
	}
	settle(t, a, b)
	check(t, b.stop())
	b.run() // which knows it from now on
	settle(t, a, b)
	if _, err := b.conn.Join(b.ctx(), start(t, "other").invite()); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
		t.Errorf("a token of another swarm: %v, want CodeConflict", err)
	}
}

// A member that is started with a token stays one, whatever the token is; where it is of the own swarm, and nobody else is heard, it
// tells where that is.
func TestStartedWithATokenAgain(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	token := a.invite()
	b := start(t, "b", func(c *config.Config) { c.Join = token })
	settle(t, a, b)
	check(t, b.stop())
	b.run() // with its used token, as systemd would
	settle(t, a, b)
	other := start(t, "other")
	for _, token := range []string{other.invite(), "nonsense"} {
		check(t, b.stop())
		b.cfg.Join = token
		b.run()
		settle(t, a, b)
	}
	check(t, a.stop())
	check(t, b.stop())
	a.run() // at other ports, of which nothing tells but:
	b.cfg.Join = a.invite()
	b.run()
	settle(t, a, b)
}

// A member that was away while the swarm's key was replaced, and whose others have all got new addresses, is told by a token of the
// new key: as it is started with it, and while it runs.
func TestTokenOfANewKeyBringsAMemberBack(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b, c := start(t, "b", joining(a)), start(t, "c", joining(a))
	settle(t, a, b, c)
	b.cfg.Join, c.cfg.Join = "", ""
	check(t, b.stop())
	check(t, c.stop())
	_, err := a.conn.RotateSwarm(a.ctx())
	check(t, err)
	check(t, a.stop())
	a.run() // at other ports
	b.cfg.Join = a.invite()
	b.run()
	settle2(t, a, b)
	c.run()
	r, err := c.conn.Join(c.ctx(), a.invite())
	check(t, err)
	if s, err := a.conn.Status(a.ctx()); err != nil || r.Changed || r.Swarm.ID != s.Swarm.ID {
		t.Errorf("%+v, want to be in %+v and not to have joined anew: %v", r, s.Swarm, err)
	}
	settle(t, a, b, c)
}

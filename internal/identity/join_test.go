package identity_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	dir := t.TempDir()
	s := open(t, dir, "guest", h.clock)
	token := h.invite(t)
	changes := 0
	stop := s.OnChange(func() { changes++ })

	r := join(t, s, token)
	if r.Already || s.Name() != "guest" || r.Inviter.Name != "host" || r.Swarm.ID != h.Swarm().ID || r.Swarm.Founder {
		t.Errorf("result %+v", r)
	}
	if want := []string{"127.0.0.1:7422"}; !slices.Equal(s.Fabric(), want) {
		t.Errorf("fabric %v, want %v", s.Fabric(), want)
	}
	if changes != 1 {
		t.Errorf("%d change calls, want 1", changes)
	}
	for _, n := range []*identity.Store{h.Store, s, open(t, dir, "guest", h.clock), open(t, h.dir, "host", h.clock)} {
		if got, want := names(n), []string{"guest", "host"}; !slices.Equal(got, want) {
			t.Errorf("members on %s: %v, want %v", n.Name(), got, want)
		}
		if len(n.Pinned()) != 2 {
			t.Errorf("pinned on %s: %v", n.Name(), n.Pinned())
		}
	}

	// Again, in the same process, after a restart, and long after the token's end.
	before := snapshot(t, dir)
	h.clock.Add(100 * time.Hour)
	for _, n := range []*identity.Store{s, open(t, dir, "guest", h.clock)} {
		r := join(t, n, token)
		if !r.Already || !slices.Equal(n.Fabric(), []string{"127.0.0.1:7422"}) {
			t.Errorf("again: %+v", r)
		}
	}
	if !slices.Equal(before, snapshot(t, dir)) || changes != 1 {
		t.Errorf("joining again changed something (%d change calls)", changes)
	}
	stop()
	if err := s.Leave(); err != nil {
		t.Fatal(err)
	}
	if changes != 1 {
		t.Error("called after stop")
	}
}

// TestLostAnswer: the inviter took the node in, the joiner never heard. The same
// token works again for that node, and for no other.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	token := h.invite(t)
	dir := t.TempDir()
	s := open(t, dir, "guest", h.clock)
	before, err := os.ReadFile(filepath.Join(dir, "identity", "swarm.json"))
	if err != nil {
		t.Fatal(err)
	}
	join(t, s, token)
	if err := os.WriteFile(filepath.Join(dir, "identity", "swarm.json"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	if s = open(t, dir, "guest", h.clock); s.Swarm().ID == h.Swarm().ID {
		t.Fatal("the joiner still knows the swarm")
	}
	was := snapshot(t, h.dir)
	if r := join(t, s, token); r.Already || r.Swarm.ID != h.Swarm().ID {
		t.Errorf("result %+v", r)
	}
	if !slices.Equal(was, snapshot(t, h.dir)) {
		t.Error("asking again changed the inviter's state")
	}
}

// A member that has lost sight of the others is told by a token of its swarm where the inviter is,
// whatever became of the invitation, and nothing is used up.
func TestFind(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	used := h.invite(t)
	s := open(t, t.TempDir(), "guest", h.clock)
	join(t, s, used)
	unused, over := h.invite(t), h.invite(t)
	h.joined(t, "newcomer")
	before := snapshot(t, h.dir)
	find := func(token string) {
		t.Helper()
		inviter, fabric, err := s.Find(within(t), token)
		if err != nil || inviter.Node != h.NodeID() || !slices.Equal(fabric, []string{"127.0.0.1:7422"}) {
			t.Errorf("found %s at %q, error %v", inviter.Node, fabric, err)
		}
	}
	find(used)
	find(unused)
	if got, want := names(s), []string{"guest", "host", "newcomer"}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
	if !slices.Equal(before, snapshot(t, h.dir)) {
		t.Error("to be found changed something")
	}
	join(t, open(t, t.TempDir(), "another", h.clock), unused)
	h.clock.Add(identity.TokenLife)
	find(over)

	other := newHost(t, "other")
	if _, _, err := s.Find(within(t), other.invite(t)); !errors.Is(err, identity.ErrOtherSwarm) {
		t.Errorf("by a token of another swarm: %v, want ErrOtherSwarm", err)
	}
	if len(other.Members()) != 1 {
		t.Error("who was to be found by a token of another swarm let it in")
	}
	there, err := identity.RedirectToken(used, other.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Find(within(t), there); !errors.Is(err, identity.ErrForeign) {
		t.Errorf("where another node answers: %v, want ErrForeign", err)
	}
}

// TestOneTokenManyJoiners: exactly one of twenty wins, the others hear why.
func TestOneTokenManyJoiners(t *testing.T) {
	t.Parallel()
	const joiners = 20
	h := newHost(t, "host")
	token := h.invite(t)
	var (
		wg   sync.WaitGroup
		errs [joiners]error
		all  [joiners]*identity.Store
	)
	for i := range joiners {
		all[i] = open(t, t.TempDir(), fmt.Sprintf("guest%d", i), h.clock)
	}
	ctx := within(t)
	for i := range joiners {
		wg.Go(func() { _, errs[i] = all[i].Join(ctx, token, "") })
	}
	wg.Wait()
	won := 0
	for i, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, identity.ErrTokenUsed):
			t.Errorf("joiner %d: %v, want ErrTokenUsed", i, err)
		case !all[i].Swarm().Founder || len(all[i].Members()) != 1:
			t.Errorf("joiner %d lost its own swarm", i)
		}
	}
	if won != 1 || len(h.Members()) != 2 {
		t.Errorf("%d won, %d members; want 1 and 2", won, len(h.Members()))
	}
}

func TestInvitationsOutliveARestart(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	first := open(t, dir, "host", c)
	addr := serve(t, first)
	var tokens []string
	for range 2 {
		token, expires, err := first.Invite([]string{addr})
		if err != nil || !expires.Equal(c.Now().Add(15*time.Minute)) {
			t.Fatalf("invite: %v, expires %v", err, expires)
		}
		tokens = append(tokens, token)
	}
	join(t, open(t, t.TempDir(), "one", c), tokens[0])

	second := open(t, dir, "host", c)
	addr = serve(t, second)
	redirect := func(token string) string {
		token, err := identity.RedirectToken(token, addr)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	other := open(t, t.TempDir(), "two", c)
	if _, err := other.Join(within(t), redirect(tokens[0]), ""); !errors.Is(err, identity.ErrTokenUsed) {
		t.Errorf("a used token after a restart: %v, want ErrTokenUsed", err)
	}
	c.Add(15*time.Minute - time.Second)
	join(t, other, redirect(tokens[1]))
	if got, want := names(second), []string{"host", "one", "two"}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
}

// Each invitation that ended is in the file that every change writes.
func TestEndedInvitationsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	kept := func() int {
		b, err := os.ReadFile(filepath.Join(h.dir, "identity", "swarm.json"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), `"secret"`)
	}
	for range 2 * identity.MaxEndedInvites {
		if _, _, err := h.InviteFor([]string{h.addr}, time.Second); err != nil {
			t.Fatal(err)
		}
		h.clock.Add(time.Second)
	}
	if got := kept(); got != identity.MaxEndedInvites+1 {
		t.Errorf("%d invitations are kept, want %d that ended and one", got, identity.MaxEndedInvites)
	}
}

func TestExpiredToken(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	token := h.invite(t)
	h.clock.Add(15 * time.Minute)
	s := open(t, t.TempDir(), "late", h.clock)
	_, err := s.Join(within(t), token, "")
	if !errors.Is(err, identity.ErrTokenExpired) || !strings.Contains(err.Error(), "myco invite") {
		t.Errorf("error %v, want ErrTokenExpired with the next command", err)
	}
	if len(h.Members()) != 1 || len(s.Members()) != 1 {
		t.Error("an expired token changed a roster")
	}
}

func TestInviteWithoutTheSwarmKeyNamesWhoHasIt(t *testing.T) {
	t.Parallel()
	h := newHost(t, "keeper")
	m := h.joined(t, "member")
	_, _, err := m.Invite([]string{"127.0.0.1:7423"})
	if !errors.Is(err, identity.ErrNotHolder) || !strings.Contains(err.Error(), "keeper ("+string(h.NodeID())+")") {
		t.Errorf("error %v, want ErrNotHolder that names keeper", err)
	}
	if err := m.Revoke(h.NodeID()); !errors.Is(err, identity.ErrNotHolder) {
		t.Errorf("revoke by a member: %v, want ErrNotHolder", err)
	}
	farewell, err := h.Farewell()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Import(farewell); err != nil {
		t.Fatal(err)
	}
	// Who founded the swarm is in another one now.
	if err := m.MaySign(); !errors.Is(err, identity.ErrNotHolder) || !strings.Contains(err.Error(), "myco nodes recover") {
		t.Errorf("error %v, want ErrNotHolder that says how to recover the key", err)
	}
}

func TestInviteLimits(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	for _, bad := range [][]string{nil, make([]string, 9), {""}, {"host"}, {"host:0"}, {"0.0.0.0:7423"}, {"[::]:7423"}, {":7423"}, {"a b:1"}, {"h:http"}, {"h:65536"}} {
		if _, _, err := h.Invite(bad); !errors.Is(err, identity.ErrBadInput) {
			t.Errorf("addresses %q: %v, want ErrBadInput", bad, err)
		}
	}
	for range 64 {
		h.invite(t)
	}
	if _, _, err := h.Invite([]string{h.addr}); !errors.Is(err, identity.ErrTooMany) {
		t.Errorf("invitation 65: %v, want ErrTooMany", err)
	}
	h.clock.Add(identity.TokenLife)
	h.invite(t)
}

func TestSameNamesStayApart(t *testing.T) {
	t.Parallel()
	h := newHost(t, "pi")
	a, b := h.joined(t, "pi"), h.joined(t, "PI")
	if a.Name() != "pi-2" || b.Name() != "PI-3" {
		t.Errorf("names %q and %q, want pi-2 and PI-3", a.Name(), b.Name())
	}
}

func TestLeaveAndJoinElsewhere(t *testing.T) {
	t.Parallel()
	h, h2 := newHost(t, "host"), newHost(t, "other")
	dir := t.TempDir()
	s := open(t, dir, "guest", h.clock)
	join(t, s, h.invite(t))
	fp := s.Fingerprint()
	_, err := s.Join(within(t), h2.invite(t), "")
	if !errors.Is(err, identity.ErrOtherSwarm) || !strings.Contains(err.Error(), "myco leave") {
		t.Errorf("joining from a larger swarm: %v, want ErrOtherSwarm that names myco leave", err)
	}

	farewell, err := s.Farewell()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Members()) != 2 {
		t.Error("Farewell changed the roster")
	}
	if err := s.Leave(); err != nil {
		t.Fatal(err)
	}
	if s.Fingerprint() != fp || !s.Swarm().Founder || len(s.Members()) != 1 || s.Swarm().ID == h.Swarm().ID {
		t.Errorf("after leave: %+v with %d members", s.Swarm(), len(s.Members()))
	}
	if _, err := os.Stat(filepath.Join(dir, "identity", "left")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a swarm whose key it has not is kept: %v", err)
	}
	alone := s.Swarm().ID
	if err := s.Leave(); err != nil || s.Swarm().ID != alone {
		t.Errorf("left a swarm of one, error %v; want nothing", err)
	}
	join(t, s, h2.invite(t))

	if changed, err := h.Import(farewell); err != nil || !changed {
		t.Errorf("import farewell: %v, %v", changed, err)
	}
	if got, want := names(h.Store), []string{"host"}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}

	// Back again: a farewell that spreads late undoes nothing newer.
	if err := s.Leave(); err != nil {
		t.Fatal(err)
	}
	join(t, s, h.invite(t))
	if changed, err := h.Import(farewell); err != nil || changed {
		t.Errorf("import old farewell: %v, %v", changed, err)
	}
	if got, want := names(h.Store), []string{"guest", "host"}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
}

func TestFounderLeavesAndKeepsTheKey(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	h.joined(t, "guest")
	id := h.Swarm().ID
	if err := h.Leave(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(h.dir, "identity", "left", string(id)+".json"))
	if err != nil || !strings.Contains(string(b), "swarm_seed") {
		t.Errorf("the archive lacks the swarm key: %v", err)
	}
}

func TestRevokedNodeStaysOut(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	s, third := h.joined(t, "stolen"), h.joined(t, "third")
	farewell, err := s.Farewell()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{string(h.NodeID()), "myco-000000000000", "\x1b[2J"} {
		if err := h.Revoke(bus.NodeID(bad)); !errors.Is(err, identity.ErrBadInput) {
			t.Errorf("revoke %q: %v, want ErrBadInput", bad, err)
		}
	}
	if err := h.Revoke(s.NodeID()); err != nil {
		t.Fatal(err)
	}
	spread(t, h.Store, s, third)
	for _, n := range []*identity.Store{h.Store, third} {
		if _, ok := n.Pinned()[string(s.Fingerprint())]; ok || len(n.Members()) != 2 {
			t.Errorf("%s still trusts the revoked node", n.Name())
		}
	}
	if !s.Swarm().Revoked || len(s.Pinned()) != 1 {
		t.Errorf("the revoked node: %+v, pinned %d", s.Swarm(), len(s.Pinned()))
	}
	// A leave, a new token and a new swarm do not bring it back.
	if _, err := h.Import(farewell); err != nil {
		t.Fatal(err)
	}
	token := h.invite(t)
	if _, err := s.Join(within(t), token, ""); !errors.Is(err, identity.ErrRevoked) {
		t.Errorf("revoked node joins: %v, want ErrRevoked", err)
	}
	if err := s.Leave(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Join(within(t), token, ""); !errors.Is(err, identity.ErrRevoked) {
		t.Errorf("revoked node joins after leave: %v, want ErrRevoked", err)
	}
	join(t, open(t, t.TempDir(), "fresh", h.clock), token) // the token was not used up
}

package identity_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// TestMergeProperties: in any order, any grouping and any number of times.
func TestMergeProperties(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	maker, err := identity.NewRosterMaker(rand.New(rand.NewPCG(seed, 0)))
	if err != nil {
		t.Fatal(err)
	}
	roster := func() identity.TestRoster {
		r, err := maker.Make(8)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	merge := func(a, b identity.TestRoster) identity.TestRoster {
		r, _, err := a.Merge(b)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	seen := 0
	for range 300 {
		a, b, c := roster(), roster(), roster()
		ab := merge(a, b)
		if x, y := ab.String(), merge(b, a).String(); x != y {
			t.Fatalf("not commutative:\n%s\n%s", x, y)
		}
		if x, y := merge(ab, c).String(), merge(a, merge(b, c)).String(); x != y {
			t.Fatalf("not associative:\n%s\n%s", x, y)
		}
		for _, sub := range []identity.TestRoster{a, b, ab} {
			r, changed, err := ab.Merge(sub)
			if err != nil || changed || r.String() != ab.String() {
				t.Fatalf("not idempotent: changed %v, %v\n%s\n%s", changed, err, ab, sub)
			}
		}
		members, revoked := ab.Standings()
		if revoked != 0 {
			t.Fatalf("a revoked node is a member:\n%s", ab)
		}
		seen += members
	}
	if seen == 0 {
		t.Error("no roster had a member: the test tests nothing")
	}
}

func TestImportTakesOnlyWhatIsSignedForThisSwarm(t *testing.T) {
	t.Parallel()
	h, rogue := newHost(t, "host"), newHost(t, "rogue")
	forged, err := rogue.ForgeRoster(h.Store)
	if err != nil {
		t.Fatal(err)
	}
	good := string(h.Export())
	tests := map[string]struct {
		data string
		kind error
	}{
		"another swarm":     {string(rogue.Export()), identity.ErrForeign},
		"self-made member":  {string(forged), identity.ErrForeign},
		"renamed":           {strings.Replace(good, `\"name\":\"host\"`, `\"name\":\"hose\"`, 1), identity.ErrForeign},
		"newer version":     {strings.Replace(good, `"v":1`, `"v":2`, 1), identity.ErrProtocol},
		"no JSON":           {good[:len(good)-5], identity.ErrProtocol},
		"empty":             {"", identity.ErrProtocol},
		"too large":         {good + strings.Repeat(" ", identity.MaxRosterBytes), identity.ErrProtocol},
		"too many records":  {`{"v":1,"swarm":"` + string(h.Swarm().ID) + `","records":[` + strings.Repeat("{},", 5000) + `{}]}`, identity.ErrProtocol},
		"an empty record":   {`{"v":1,"swarm":"` + string(h.Swarm().ID) + `","records":[{}]}`, identity.ErrProtocol},
		"a record of nulls": {`{"v":1,"swarm":"` + string(h.Swarm().ID) + `","records":[null]}`, identity.ErrProtocol},
	}
	before := snapshot(t, h.dir)
	for name, tt := range tests {
		if changed, err := h.Import([]byte(tt.data)); !errors.Is(err, tt.kind) || changed {
			t.Errorf("%s: changed %v, error %v; want %v", name, changed, err, tt.kind)
		}
	}
	if !slices.Equal(before, snapshot(t, h.dir)) || len(h.Members()) != 1 {
		t.Error("a refused roster changed something")
	}
	if changed, err := h.Import([]byte(good)); changed || err != nil {
		t.Errorf("own roster: changed %v, error %v", changed, err)
	}
}

// TestImportKeepsGoodBesideBad: one bad record does not stop a revocation.
func TestImportKeepsGoodBesideBad(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	a, b := h.joined(t, "a"), h.joined(t, "b")
	if err := h.Revoke(b.NodeID()); err != nil {
		t.Fatal(err)
	}
	rogue := open(t, t.TempDir(), "rogue", h.clock)
	mixed, err := rogue.ForgeRoster(h.Store)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := a.Import(mixed)
	if !changed || !errors.Is(err, identity.ErrForeign) {
		t.Errorf("changed %v, error %v; want a change and ErrForeign", changed, err)
	}
	if got, want := names(a), []string{"a", "host"}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
	if strings.Contains(string(a.Export()), "rogue") {
		t.Error("a refused record is passed on")
	}
}

// TestFutureRecordsAreKept: what a newer version signs passes through this one.
func TestFutureRecordsAreKept(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	dir := t.TempDir()
	a := open(t, dir, "a", h.clock)
	join(t, a, h.invite(t))
	future, err := h.SignFuture()
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := a.Import(future); !changed || err != nil {
		t.Fatalf("import: %v, %v", changed, err)
	}
	if changed, err := a.Import(future); changed || err != nil {
		t.Errorf("import again: %v, %v", changed, err)
	}
	for _, s := range []*identity.Store{a, open(t, dir, "a", h.clock)} {
		if !strings.Contains(string(s.Export()), `\"until\":\"later\"`) {
			t.Error("a field of a newer version is lost")
		}
	}
	spread(t, a, h.Store)
	if !strings.Contains(string(h.Export()), `promote`) {
		t.Error("the record did not get back to where it was signed")
	}
}

// TestRosterWireForm pins what other versions rely on.
func TestRosterWireForm(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	var doc struct {
		V       int    `json:"v"`
		Swarm   string `json:"swarm"`
		Key     []byte `json:"key"`
		Records []struct {
			Body string `json:"body"`
			Key  []byte `json:"key"`
			Sig  []byte `json:"sig"`
		} `json:"records"`
	}
	if err := json.Unmarshal(h.Export(), &doc); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"op":"add","swarm":"` + doc.Swarm + `","epoch":1,"n":1,"node":"` + string(h.Fingerprint()) + `","name":"host","holder":true,"by":"` + string(h.Fingerprint()) + `","at":"2030-01-02T03:04:05Z"}`,
		`{"op":"swarm","swarm":"` + doc.Swarm + `","epoch":1,"n":1,"name":"host-swarm","at":"2030-01-02T03:04:05Z"}`,
	}
	var got []string
	for _, r := range doc.Records {
		got = append(got, r.Body)
		if len(r.Key) != 32 || len(r.Sig) != 64 {
			t.Errorf("key of %d and signature of %d bytes", len(r.Key), len(r.Sig))
		}
	}
	if doc.V != 1 || doc.Swarm != string(h.Swarm().ID) || len(doc.Key) != 32 || !slices.Equal(got, want) {
		t.Errorf("version %d, swarm %s, key of %d bytes, records\n%q, want\n%q", doc.V, doc.Swarm, len(doc.Key), got, want)
	}
}

// A disk that is full, or gone, keeps nobody in: what others say counts, and is written once it can be.
func TestARevocationCountsWhereItCannotBeWritten(t *testing.T) {
	t.Parallel()
	h := newHost(t, "host")
	dir := t.TempDir()
	stays := open(t, dir, "stays", h.clock)
	join(t, stays, h.invite(t))
	goes := h.joined(t, "goes")
	spread(t, h.Store, stays)
	if err := h.Revoke(goes.NodeID()); err != nil {
		t.Fatal(err)
	}

	files, aside := filepath.Join(dir, "identity"), filepath.Join(dir, "aside")
	if err := os.Rename(files, aside); err != nil {
		t.Fatal(err)
	}
	told := 0
	stays.OnChange(func() { told++ })
	for _, news := range []bool{true, false} {
		if changed, err := stays.Import(h.Export()); changed != news || !errors.Is(err, identity.ErrUnreadable) {
			t.Errorf("import: changed %t, error %v; want %t, ErrUnreadable", changed, err, news)
		}
	}
	if _, in := stays.Member(goes.Fingerprint()); in || told != 1 {
		t.Errorf("a member still: %t, and told %d times; want it out, and told once", in, told)
	}
	if err := os.Rename(aside, files); err != nil {
		t.Fatal(err)
	}
	spread(t, h.Store, stays)
	if _, in := open(t, dir, "stays", h.clock).Member(goes.Fingerprint()); in {
		t.Error("a member again at the next start")
	}
}

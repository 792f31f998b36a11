package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// What the file of goodbyes has is read as far as it tells of members, and replaced where it cannot be read.
func TestGoodbyesOfMembersAlone(t *testing.T) {
	t.Parallel()
	const one, two, gone = bus.NodeID("myco-000000000001"), bus.NodeID("myco-000000000002"), bus.NodeID("myco-000000000003")
	members := []identity.Member{{Node: one}, {Node: two}}
	for stored, want := range map[string][]bus.NodeID{
		"":   nil,
		`[]`: nil,
		`["myco-000000000002","myco-000000000003","myco-000000000001","myco-000000000002","\u0000"]`: {one, two},
		`{"myco-000000000001":true}`: nil, `[1]`: nil, `["myco-000000000001"`: nil, strings.Repeat(" ", maxGoodbyes) + `[]`: nil,
	} {
		g := &goodbyes{path: filepath.Join(t.TempDir(), goodbyesFile), members: func() []identity.Member { return members }}
		damaged := stored != "" && !strings.HasSuffix(stored, "]") || stored == `[1]` || len(stored) > maxGoodbyes
		if stored != "" {
			if err := os.WriteFile(g.path, []byte(stored), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.read(); (err != nil) != damaged || !slices.Equal(g.get(), want) {
			t.Errorf("%.80s: %v, error %v; want %v, damaged %t", stored, g.get(), err, want, damaged)
		}
		if err := g.keep(append([]bus.NodeID{gone}, want...)); err != nil {
			t.Fatal(err)
		}
		if damaged {
			if b, err := os.ReadFile(g.path); err != nil || string(b) != "[]\n" {
				t.Errorf("%.80s: the file holds %.80q, %v, want that it is replaced", stored, b, err)
			}
		}
	}
	g := &goodbyes{path: filepath.Join(t.TempDir(), goodbyesFile), members: func() []identity.Member { return members }}
	if err := g.keep([]bus.NodeID{two, one}); err != nil {
		t.Fatal(err)
	}
	members = members[:1] // two was put out
	if got := g.get(); !slices.Equal(got, []bus.NodeID{one}) {
		t.Errorf("%v once one is put out", got)
	}
}

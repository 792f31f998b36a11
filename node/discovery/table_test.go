package discovery_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/node/discovery"
)

var (
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one   = netip.MustParseAddr("192.168.1.1")
	two   = netip.MustParseAddr("192.168.1.2")
	six   = netip.MustParseAddr("fd00::1")
)

func recordOf(name string) discovery.Record {
	fp := fingerprint(name)
	return discovery.Record{NodeID: bus.NodeID("myco-" + fp[:12]), Fingerprint: fp, SwarmID: "ab", Version: "1", JoinPort: 7423}
}

func TestTableTellsOfWhatIsNew(t *testing.T) {
	t.Parallel()
	table, r := discovery.NewTable(), recordOf("a")
	f, tell := table.See(r, 7422, epoch, six, one)
	want := discovery.Found{
		NodeID: r.NodeID, Fingerprint: r.Fingerprint, SwarmID: "ab", Version: "1", At: epoch,
		FabricAddrs: []string{"192.168.1.1:7422", "[fd00::1]:7422"},
		JoinAddrs:   []string{"192.168.1.1:7423", "[fd00::1]:7423"},
	}
	if diff := cmp.Diff(want, f); diff != "" || !tell {
		t.Fatalf("told: %t, found (-want +got):\n%s", tell, diff)
	}

	now := epoch
	step := func(name string, after time.Duration, want bool, see func() (discovery.Found, bool)) discovery.Found {
		t.Helper()
		now = now.Add(after)
		f, tell := see()
		if tell != want {
			t.Errorf("%s: told %t, want %t", name, tell, want)
		}
		return f
	}
	step("the same at once", time.Second, false, func() (discovery.Found, bool) { return table.See(r, 7422, now, one) })
	f = step("a new address", time.Second, true, func() (discovery.Found, bool) { return table.See(r, 7422, now, two) })
	if len(f.FabricAddrs) != 3 {
		t.Errorf("addresses %v, want all three", f.FabricAddrs)
	}
	step("another port", time.Second, true, func() (discovery.Found, bool) { return table.See(r, 7500, now, one) })
	r.JoinPort = 0
	f = step("takes nobody in", time.Second, true, func() (discovery.Found, bool) { return table.See(r, 7500, now, one) })
	if f.JoinAddrs != nil {
		t.Errorf("join addresses %v, want none", f.JoinAddrs)
	}
	step("the same, early", discovery.Again-time.Second, false, func() (discovery.Found, bool) { return table.See(r, 7500, now, one) })
	step("the same, later", time.Second, true, func() (discovery.Found, bool) { return table.See(r, 7500, now, one) })
}

func TestTableForgets(t *testing.T) {
	t.Parallel()
	table := discovery.NewTable()
	table.See(recordOf("a"), 7422, epoch, one, two)
	table.See(recordOf("b"), 7422, epoch, one)
	later := epoch.Add(discovery.Expiry / 2)
	table.See(recordOf("a"), 7422, later, two)
	if got := table.List(epoch.Add(discovery.Expiry - 1)); len(got) != 2 {
		t.Errorf("%d nodes before they expire, want 2", len(got))
	}
	got := table.List(epoch.Add(discovery.Expiry))
	if len(got) != 1 || got[0].NodeID != recordOf("a").NodeID || len(got[0].FabricAddrs) != 1 {
		t.Errorf("left: %+v, want a with one address", got)
	}
	if _, tell := table.See(recordOf("b"), 7422, epoch.Add(discovery.Expiry), one); !tell {
		t.Error("a node that comes back is not told of")
	}
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	table := discovery.NewTable()
	for i := range discovery.MaxNodes + 10 {
		table.See(recordOf(fmt.Sprint(i)), 7422, epoch, one)
	}
	if got := len(table.List(epoch)); got != discovery.MaxNodes {
		t.Errorf("%d nodes, want %d", got, discovery.MaxNodes)
	}
	if _, tell := table.See(recordOf("0"), 7422, epoch, two); !tell {
		t.Error("a known node is not heard any more when the table is full")
	}

	table = discovery.NewTable()
	for i := range 255 {
		table.See(recordOf("a"), 7422, epoch, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	if got := len(table.List(epoch)[0].FabricAddrs); got != discovery.MaxAddrs {
		t.Errorf("%d addresses, want %d", got, discovery.MaxAddrs)
	}
}

// Anybody on the LAN can announce more nodes, or more addresses of one, than the table holds.
func TestTableKeepsRoomForTheKnown(t *testing.T) {
	t.Parallel()
	member := recordOf("member")
	table := discovery.NewTable(member.Fingerprint)
	for i := range discovery.MaxNodes {
		table.See(recordOf(fmt.Sprint(i)), 7422, epoch.Add(time.Duration(i)), one)
	}
	now := epoch.Add(time.Second)
	if _, tell := table.See(member, 7422, now, one); !tell {
		t.Error("a member is refused because strangers fill the table")
	}
	if got := len(table.List(now)); got != discovery.MaxNodes {
		t.Errorf("%d nodes, want %d", got, discovery.MaxNodes)
	}
	for i := range discovery.MaxNodes {
		table.See(recordOf(fmt.Sprint("more", i)), 7422, now, one)
	}
	for i := range 255 {
		table.See(member, 7422, now.Add(time.Duration(i+1)), netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	f, tell := table.See(member, 7422, now.Add(time.Second), two)
	if !tell || !slices.Contains(f.FabricAddrs, "192.168.1.2:7422") || len(f.FabricAddrs) != discovery.MaxAddrs {
		t.Errorf("a member's address among bogus ones: told %t of %v", tell, f.FabricAddrs)
	}
}

func TestTablePassesOverWhatCannotBeDialled(t *testing.T) {
	t.Parallel()
	table := discovery.NewTable()
	for _, a := range []string{"0.0.0.0", "224.0.0.1", "fe80::1", "255.255.255.255", "::"} {
		if f, tell := table.See(recordOf("a"), 7422, epoch, netip.MustParseAddr(a)); tell {
			t.Errorf("told of %+v", f)
		}
	}
	if _, tell := table.See(recordOf("a"), 0, epoch, one); tell {
		t.Error("told of a node on port 0")
	}
	if _, tell := table.See(recordOf("a"), 7422, epoch); tell {
		t.Error("told of a node without an address")
	}
}

// Two keys may share the digits that make the id: making one such takes hours only.
func TestTableTellsKeysApart(t *testing.T) {
	t.Parallel()
	table, forged := discovery.NewTable(), recordOf("a")
	forged.Fingerprint = forged.Fingerprint[:63] + "0"
	if forged == recordOf("a") {
		forged.Fingerprint = forged.Fingerprint[:63] + "1"
	}
	table.See(recordOf("a"), 7422, epoch, one)
	table.See(forged, 7422, epoch, two)
	got := table.List(epoch)
	if len(got) != 2 || len(got[0].FabricAddrs) != 1 || len(got[1].FabricAddrs) != 1 {
		t.Errorf("table %+v, want two nodes of one address each", got)
	}
}

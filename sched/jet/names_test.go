package jet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/jet"
)

func TestParseAck(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]struct {
		stream    string
		seq       uint64
		delivered int
	}{
		"$JS.ACK.S.C.2.7.9.1700000000.3":                  {"S", 7, 2},
		"$JS.ACK.domain.hash.S.C.2.7.9.1700000000.3":      {"S", 7, 2},
		"$JS.ACK.domain.hash.S.C.2.7.9.1700000000.3.more": {"S", 7, 2},
	} {
		stream, seq, delivered, err := jet.ParseAck(subject)
		check(t, err)
		if stream != want.stream || seq != want.seq || delivered != want.delivered {
			t.Errorf("%s: %s %d %d, want %+v", subject, stream, seq, delivered, want)
		}
	}
	for _, subject := range []string{"", "$JS.ACK.S.C.2.7.9.1700000000", "$JS.ACK.S.C.x.7.9.1.3", "$JS.FC.S.C.2.7.9.1.3", "$JS.ACK.S.C.2.-7.9.1.3"} {
		if _, _, _, err := jet.ParseAck(subject); err == nil {
			t.Errorf("%q is taken for an acknowledgement subject", subject)
		}
	}
}

func TestConsumerNames(t *testing.T) {
	t.Parallel()
	q := sched.QueueID{Host: "myco-0123456789ab", Term: 7}
	k := bus.Key{Lane: bus.Batch, Priority: 3, Class: "inference", Model: "qwen2.5:14b", Pin: "myco-ba9876543210"}
	if got, want := jet.ConsumerName(q, k), "myco-0123456789ab_7_batch-3+inference+qwen2=2e5=3a14b@myco-ba9876543210"; got != want {
		t.Errorf("name %s, want %s", got, want)
	}
	seen := map[string]bool{}
	for _, model := range []string{"a", "a.b", strings.Repeat("m", 150), strings.Repeat("m", 255), strings.Repeat("m", 256), strings.Repeat("/", 256)} {
		for _, pin := range []bus.NodeID{"", "myco-ba9876543210", "myco-ba9876543211"} {
			n := jet.ConsumerName(q, bus.Key{Lane: bus.Batch, Priority: 3, Class: "inference", Model: model, Pin: pin})
			if seen[n] || len(n) > 200 || strings.ContainsAny(n, ". *>/\\") {
				t.Errorf("name %s (%d bytes) is taken, too long, or no token", n, len(n))
			}
			seen[n] = true
		}
	}
}

func TestStreamNames(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 2, 0)
	a, b := nodes[0], nodes[1]
	check(t, a.jet.Open(t.Context(), sched.QueueID{Host: a.ID, Term: 12}))
	check(t, b.jet.Effects().Outbox.Ensure(t.Context(), b.ID, a.ID))
	var got []string
	for n := range a.Store.JetStream().StreamNames(t.Context()).Name() {
		if !strings.HasPrefix(n, "KV_") {
			got = append(got, n)
		}
	}
	slices.Sort(got)
	want := []string{"CUSTODY_" + string(b.ID) + "_at_" + string(a.ID), "OUTBOX_" + string(a.ID), "WORK_" + string(a.ID) + "_12"}
	if !slices.Equal(got, want) {
		t.Errorf("streams %v, want %v", got, want)
	}
}

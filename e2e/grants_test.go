//go:build e2e && linux

package e2e_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

var update = flag.Bool("update", false, "write the golden tables anew")

// subjects has, for every name that bus/subject.go spells, the subjects that node id has there.
func subjects(id, other bus.NodeID) map[string][]string {
	work := bus.Key{Lane: bus.Interactive, Priority: 5, Class: "inference", Model: "m"}.String() + ".t1"
	one := func(s string) []string { return []string{s} }
	return map[string][]string{
		"SubjectAll":        one(bus.SubjectAll),
		"SubjectHeartbeat":  one(bus.SubjectHeartbeat(id)),
		"SubjectHeartbeats": one(bus.SubjectHeartbeats),
		"SubjectBye":        one(bus.SubjectBye(id)),
		"SubjectByes":       one(bus.SubjectByes),
		"SubjectRuns":       one(bus.SubjectRuns(id)),
		"SubjectAllRuns":    one(bus.SubjectAllRuns),
		"SubjectStart":      one(bus.SubjectStart(id)),
		"SubjectStarts":     one(bus.SubjectStarts),
		"SubjectTwin":       one(bus.SubjectTwin(id)),
		"SubjectNext":       one(bus.SubjectNext(id)),
		"SubjectOffer":      one(bus.SubjectOffer(id)),
		"SubjectStored":     one(bus.SubjectStored(id, 7, work)),
		"SubjectEvent":      one(bus.SubjectEvent(id, "t1", bus.EventDone)),
		"SubjectEvents":     one(bus.SubjectEvents),
		"SubjectCancel":     one(bus.SubjectCancel(id, "t1")),
		"SubjectCancels":    one(bus.SubjectCancels),
		"SubjectRPC":        one(bus.SubjectRPC(id, bus.VerbPing)),
		"SubjectPayloadRPC": {bus.SubjectPayloadRPC(id, bus.VerbSubmit), bus.SubjectPayloadRPC(id, ">")},
		"SubjectRoster":     one(bus.SubjectRoster),
		"SubjectTrust":      {bus.SubjectTrust(id, bus.VerbTrustOffer), bus.SubjectTrust(id, ">")},
		"SubjectSync":       one(bus.SubjectSync),
		"SubjectFind":       one(bus.SubjectFind),
		"SubjectWork":       {bus.SubjectWork(id, 7, work), bus.SubjectWork(id, 7, ">")},
		"SubjectClaim":      {bus.SubjectClaim(id, 7, "t1"), bus.SubjectClaim(id, 7, "*")},
		"SubjectOut":        one(bus.SubjectOut(id, "t1")),
		"SubjectOuts":       one(bus.SubjectOuts(id)),
		"SubjectResend":     one(bus.SubjectResend(id, "t1")),
		"SubjectResends":    one(bus.SubjectResends),
		"SubjectShown":      one(bus.SubjectShown(id, "t1")),
		"SubjectAllShown":   one(bus.SubjectAllShown(id)),
		"SubjectOutbox":     {bus.SubjectOutbox(id, other, "t1"), bus.SubjectOutbox(id, bus.NoCustodian, ">")},
		"SubjectOutboxes":   one(bus.SubjectOutboxes + ">"),
		"SubjectKept":       one(bus.SubjectKept(id, string(id)+".none.t1")),
		"SubjectBlob":       {bus.SubjectBlob(id, "get"), bus.SubjectBlob(id, "*")},
		"SubjectServe":      {bus.SubjectServe(id, "translate"), bus.SubjectServe(id, ">")},
		"SubjectStoreCall":  {bus.SubjectStoreCall(id, "INFO"), bus.SubjectStoreCall(id, ">")},
	}
}

// beside are subjects that the server and the clients spell.
func beside(id bus.NodeID) []string {
	return []string{
		">", "*", "*.>", "payload.>", "payload.*.*.>", "payload.task.*.*.out",
		"_INBOX.>", "_INBOX.a.b", "_INBOX_USER.>", "_INBOX_OBSERVER.>",
		bus.UserInbox(id) + ".>", bus.UserInbox(id) + ".a", bus.ObserverInbox(id) + ".>", bus.ObserverInbox(id) + ".a",
		"$KV.peers.x", "$KV.>", "$OBJ.b.C.x", "$OBJ.>", "$JS." + string(id) + ".API.$KV.peers.x",
		"$JS.>", "$JS.API.>", "$JS." + string(id) + ".API.>", "$JS.EVENT.ADVISORY.x", "$JS.EVENT.>",
		"$JS.FC.KV_peers.a.b", "$JS.FC.OUT.a.b", "$JS.ACK.OUT.c.1.1.1.1.0", "$JS.ACK." + string(id) + ".x.OUT.c.1.1.1.1.0", "$JS.ACK.>",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.$G.CONNZ", "$SYS.ACCOUNT.>", "$SYS.>", "$SRV.PING", "$SRV.>", "$NRG.>", "$LDS.x", "$GR.x", "nobody.spelled.this",
	}
}

// jetStreamCalls are the calls of JetStream's API, out of the server's own source: what it comes to
// know later has no line in the golden table, and so fails the test.
func jetStreamCalls(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		t.Fatalf("find the server's source: %v", err)
	}
	source := read(t, filepath.Join(strings.TrimSpace(string(out)), "server", "jetstream_api.go"))
	var calls []string
	for _, m := range regexp.MustCompile(`(?m)^\s*JS(?:Api|Direct)\w+\s*=\s*"\$JS\.API\.(\S+)"`).FindAllStringSubmatch(source, -1) {
		call := regexp.MustCompile(`\*|%s|>`).ReplaceAllString(m[1], "*")
		if !slices.Contains(calls, call) {
			calls = append(calls, call)
		}
	}
	if len(calls) < 30 {
		t.Fatalf("only %d calls of JetStream are in its source: %q", len(calls), calls)
	}
	slices.Sort(calls)
	return calls
}

// forms are the ways to spell a call of JetStream: at the own store by default, behind its check, by
// the name of its domain past the check, and both at another node's.
func forms(own, far bus.NodeID, call string) []string {
	return []string{
		"$JS.API." + call, bus.SubjectStoreCall(own, call),
		"$JS." + string(own) + ".API." + call, "$JS." + string(far) + ".API." + call, bus.SubjectStoreCall(far, call),
	}
}

// try reports whether one credential may do op on subject.
type try func(t *testing.T, op, subject string) bool

// as tries as a client of the bus with a seed.
func as(n *harness.Node, seed, inbox string) try {
	return func(t *testing.T, op, subject string) bool {
		t.Helper()
		nc := dialSeed(t, n, seed, inbox)
		defer nc.Close()
		nc.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
		var err error
		if op == "sub" {
			_, err = nc.SubscribeSync(subject)
		} else {
			err = nc.PublishRequest(subject, nc.NewInbox(), nil)
		}
		if err == nil {
			err = nc.FlushTimeout(harness.Patience) // the server's refusal comes before its pong
		}
		if err != nil {
			t.Fatalf("%s %s: %v", op, subject, err)
		}
		return nc.LastError() == nil
	}
}

// TestGrantMatrix has every credential of a real daemon try every subject that bus/subject.go
// spells, at its own node and at another, and every call of JetStream. What is allowed is a golden
// table; a new subject or call without a line there fails.
func TestGrantMatrix(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	var receipt bus.Receipt
	a.JSON(t, &receipt, "ask", "--detach", "-m", "nobody-has-this", "what is stored")
	far := b.Info.NodeID
	before := stores(t, a, b)

	store := leafOf(t, a)
	names := []string{"user", "observer", "store"}
	tries := map[string]try{
		"user":     as(a, readFile(t, a, bus.UserCreds), bus.UserInbox(a.Info.NodeID)),
		"observer": as(a, readFile(t, a, bus.ObserverCred), bus.ObserverInbox(a.Info.NodeID)),
		"store":    store.try,
	}
	tried := 0
	allowed := func(op, subject string) string {
		if op == "pub" && strings.ContainsAny(subject, "*>") {
			return "" // no subject to publish to
		}
		var who []string
		for _, name := range names {
			tried++
			if tries[name](t, op, subject) {
				who = append(who, name)
			}
		}
		return cmp.Or(strings.Join(who, " "), "-")
	}
	var table strings.Builder
	line := func(op, subject, who string) {
		subject = strings.NewReplacer(string(a.Info.NodeID), "OWN", string(far), "FAR").Replace(subject)
		if who != "" {
			fmt.Fprintf(&table, "%-4s %-72s %s\n", op, subject, who)
		}
	}
	for _, d := range doors(t, a, b, store) {
		tried++
		line("in", d.name, map[bool]string{true: "let in", false: "-"}[d.in])
	}
	var all []string
	for _, list := range []map[string][]string{subjects(a.Info.NodeID, far), subjects(far, a.Info.NodeID)} {
		for _, s := range list {
			all = append(all, s...)
		}
	}
	all = append(append(all, beside(a.Info.NodeID)...), beside(far)...)
	slices.Sort(all)
	for _, subject := range slices.Compact(all) {
		line("sub", subject, allowed("sub", subject))
		line("pub", subject, allowed("pub", subject))
	}
	for _, call := range jetStreamCalls(t) {
		targets := []string{"KV_peers", before.stream}
		if !strings.Contains(call, "*") {
			targets = []string{""}
		}
		for _, stream := range targets {
			call := strings.ReplaceAll(strings.Replace(call, "*", stream, 1), "*", "x")
			for i, form := range forms(a.Info.NodeID, far, call) {
				who := allowed("pub", form)
				if i >= 2 && who == "-" {
					continue // the rule: nobody names a domain, nor calls another node's store
				}
				line("api", strings.ReplaceAll(form, before.stream, "STREAM"), who)
			}
		}
	}
	everySubjectIsTried(t, subjects(a.Info.NodeID, far))
	sorted := strings.SplitAfter(table.String(), "\n") // the ids are others each time
	slices.Sort(sorted)
	goldenTable(t, "grants.golden", strings.Join(sorted, ""))
	if after := stores(t, a, b); after.text != before.text {
		t.Errorf("what was refused has changed the stores from\n%s\nto\n%s", before.text, after.text)
	}
	var info bus.TaskInfo
	a.JSON(t, &info, "task", "show", string(receipt.ID))
	if info.State.Terminal() {
		t.Errorf("the task that was stored is %s", info.State)
	}
	harness.Settle(t, a, b)
	lines := strings.Count(table.String(), "\n")
	reach(t, "grants", tried, fmt.Sprintf("%d of %d as in the table of %d lines; 0 changes in the stores", tried, tried, lines))
}

// everySubjectIsTried fails for each name of bus/subject.go that is not in the matrix.
func everySubjectIsTried(t *testing.T, have map[string][]string) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^(?:func|const) (Subject\w+)`).FindAllStringSubmatch(read(t, filepath.Join(root, "bus", "subject.go")), -1)
	if len(names) == 0 {
		t.Fatal("bus/subject.go spells no subject")
	}
	for _, n := range names {
		if len(have[n[1]]) == 0 {
			t.Errorf("nobody tries %s: add it to the matrix of grants", n[1])
		}
	}
}

// goldenTable compares got with a file in testdata.
func goldenTable(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wanted, have := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for _, l := range have {
		if !slices.Contains(wanted, l) {
			t.Errorf("%s lacks: %s", path, l)
		}
	}
	for _, l := range wanted {
		if !slices.Contains(have, l) {
			t.Errorf("%s has, and it is not so: %s", path, l)
		}
	}
	if t.Failed() {
		t.Logf("go test -tags e2e -run '^%s$' ./e2e -update writes it anew", t.Name())
	}
}

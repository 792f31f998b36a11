package bus_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs; go test -update writes it anew:\n%s", path, d)
	}
}

func TestSubjectsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	const other = bus.NodeID("myco-ba9876543210")
	key := bus.Key{Lane: bus.Interactive, Priority: 5, Class: "inference", Model: "library/gemma3:1b", Pin: other}
	work := key.String() + ".t1"
	var b strings.Builder
	for _, s := range [][2]string{
		{"all", bus.SubjectAll},
		{"heartbeat", bus.SubjectHeartbeat(self)},
		{"heartbeats", bus.SubjectHeartbeats},
		{"bye", bus.SubjectBye(self)},
		{"byes", bus.SubjectByes},
		{"runs", bus.SubjectRuns(self)},
		{"all runs", bus.SubjectAllRuns},
		{"start", bus.SubjectStart(self)},
		{"starts", bus.SubjectStarts},
		{"twin", bus.SubjectTwin(self)},
		{"next", bus.SubjectNext(self)},
		{"offer", bus.SubjectOffer(self)},
		{"stored", bus.SubjectStored(self, 7, work)},
		{"event", bus.SubjectEvent(self, "t1", bus.EventDone)},
		{"events", bus.SubjectEvents},
		{"cancel", bus.SubjectCancel(self, "t1")},
		{"cancels", bus.SubjectCancels},
		{"rpc", bus.SubjectRPC(self, bus.VerbStatus)},
		{"payload rpc", bus.SubjectPayloadRPC(self, bus.VerbSubmit)},
		{"roster", bus.SubjectRoster},
		{"trust", bus.SubjectTrust(self, bus.VerbTrustOffer)},
		{"sync", bus.SubjectSync},
		{"find", bus.SubjectFind},
		{"work", bus.SubjectWork(self, 7, work)},
		{"claim", bus.SubjectClaim(self, 7, "t1")},
		{"blob", bus.SubjectBlob(self, "get")},
		{"out", bus.SubjectOut(self, "t1")},
		{"outs", bus.SubjectOuts(self)},
		{"resend", bus.SubjectResend(self, "t1")},
		{"resends", bus.SubjectResends},
		{"shown", bus.SubjectShown(self, "t1")},
		{"all shown", bus.SubjectAllShown(self)},
		{"outboxes", bus.SubjectOutboxes},
		{"kept", bus.SubjectKept(self, string(self)+".none.t1")},
		{"outbox", bus.SubjectOutbox(self, other, "t1")},
		{"outbox of one", bus.SubjectOutbox(self, bus.NoCustodian, "t1")},
		{"serve", bus.SubjectServe(self, "translate")},
		{"store call", bus.SubjectStoreCall(self, "STREAM.INFO.KV_peers")},
	} {
		fmt.Fprintf(&b, "%-14s %s\n", s[0], s[1])
	}
	golden(t, "subjects.golden", b.String())
}

// TestEverySubjectIsGolden fails when a subject is added without a line in the test above.
func TestEverySubjectIsGolden(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("subject.go")
	must(t, err)
	tests, err := os.ReadFile("subject_test.go")
	must(t, err)
	names := regexp.MustCompile(`(?m)^(?:func|const) (Subject\w+)`).FindAllStringSubmatch(string(source), -1)
	if len(names) == 0 {
		t.Fatal("subject.go spells no subject")
	}
	for _, n := range names {
		if !regexp.MustCompile(`bus\.` + n[1] + `\b`).Match(tests) {
			t.Errorf("%s has no golden line", n[1])
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                  "=",
		"plain-Token_9":     "plain-Token_9",
		"gemma3:1b":         "gemma3=3a1b",
		"hf.co/x/y-GGUF:Q4": "hf=2eco=2fx=2fy-GGUF=3aQ4",
		"=":                 "=3d",
		"*>@ .":             "=2a=3e=40=20=2e",
		"ü\x00":             "=c3=bc=00",
	} {
		if got := bus.Token(in); got != want {
			t.Errorf("Token(%q) = %q, want %q", in, got, want)
		}
		if got, err := bus.Untoken(want); err != nil || got != in {
			t.Errorf("Untoken(%q) = %q, %v, want %q", want, got, err, in)
		}
	}
	for _, bad := range []string{"", "a.b", "=3", "=3A", "=61", "a=", "==", "=zz", "a b", "ü"} {
		if got, err := bus.Untoken(bad); err == nil {
			t.Errorf("Untoken(%q) = %q, want an error", bad, got)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for want, k := range map[string]bus.Key{
		"interactive-5.ping.=":                      {Lane: bus.Interactive, Priority: 5, Class: "ping"},
		"batch-10.inference.gemma3=3a1b":            {Lane: bus.Batch, Priority: 10, Class: "inference", Model: "gemma3:1b"},
		"batch-1.inference.m=40x@myco-0123456789ab": {Lane: bus.Batch, Priority: 1, Class: "inference", Model: "m@x", Pin: self},
		"batch-0.translate.=@myco-0123456789ab":     {Lane: bus.Batch, Class: "translate", Pin: self},
		"batch-1-u7.ping.=@myco-0123456789ab":       {Lane: bus.Batch, Priority: 1, Class: "ping", Pin: self, Share: 7},
	} {
		if got := k.String(); got != want {
			t.Errorf("%+v is %q, want %q", k, got, want)
		}
		if got, err := bus.ParseKey(want); err != nil || got != k {
			t.Errorf("ParseKey(%q) = %+v, %v, want %+v", want, got, err, k)
		}
	}
	for _, bad := range []string{
		"", "batch-1.b", "batch-1.b.c.d", "batch-1..c", "batch-1.b.c@", "batch-1.b.c@myco-x", "batch-1.b.c@d@e", "batch-1.b.=3",
		"batch.b.c", "batch-.b.c", "batch-01.b.c", "batch-+1.b.c", "slow-1.b.c", "batch-1.b.@myco-0123456789ab", "batch-u1.b.c", "batch-1-u1-u1.b.c", "batch-1-u0.b.c", "batch-1-u257.b.c", "batch-1-large.b.c",
	} {
		if got, err := bus.ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q) = %+v, want an error", bad, got)
		}
	}
}

func TestKeyOf(t *testing.T) {
	t.Parallel()
	task := bus.Task{Type: "inference", Model: "gemma3", Node: self, Lane: bus.Batch, Priority: 7}
	want := bus.Key{Lane: bus.Batch, Priority: 7, Class: "inference", Model: "gemma3:latest", Pin: self}
	if got := bus.KeyOf(&task); got != want {
		t.Errorf("key %+v, want %+v", got, want)
	}
}

func FuzzUntoken(f *testing.F) {
	for _, s := range []string{"", "=", "a", "=2e", "=3d=3d", "a=", "=2E"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := bus.Untoken(bus.Token(s)); err != nil || got != s {
			t.Errorf("Untoken(Token(%q)) = %q, %v", s, got, err)
		}
		if v, err := bus.Untoken(s); err == nil && bus.Token(v) != s {
			t.Errorf("Untoken(%q) = %q, whose token is %q", s, v, bus.Token(v))
		}
		if strings.ContainsAny(bus.Token(s), ".*> @\r\n\t") {
			t.Errorf("Token(%q) = %q is not one token", s, bus.Token(s))
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"interactive-5.ping.=", "batch-10.inference.m=3a1@myco-0123456789ab", "a.b", "..", "a.b.c@"} {
		f.Add(s)
	}
	f.Add("batch-10-u7.ping.=")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := bus.ParseKey(s); err == nil && k.String() != s {
			t.Errorf("ParseKey(%q) = %+v, which is %q", s, k, k.String())
		}
	})
}

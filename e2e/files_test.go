//go:build e2e && linux

package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A node that reads no documents has another read a PDF; that one dies in the middle, and a third does it.
func TestReaderIsKilled(t *testing.T) {
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--no-files")
	pdf, err := filepath.Abs("../handlers/file/testdata/report.pdf")
	if err != nil {
		t.Fatal(err)
	}
	if r := a.Myco(t, "read", pdf); r.Code != 3 || !strings.Contains(r.Stderr, "no node of the swarm reads documents") {
		t.Errorf("without a node that reads: %v", r)
	}
	readers := map[string]*harness.Node{"b": s.Join(t, a, "b"), "c": s.Join(t, a, "c")}
	harness.Settle(t, a, readers["b"], readers["c"])
	conn := a.Dial(t)
	ctx := within(t, "a PDF is read")
	text := make(chan harness.Result, 1)
	go func() { text <- a.Myco(t, "read", pdf, "--json") }()
	// Its first PDF takes a node seconds: it has to compile what reads it.
	var killed bus.NodeID
	harness.Poll(t, time.Minute, "a node reads", func() string {
		tasks, err := conn.Tasks(ctx)
		if err != nil {
			return err.Error()
		}
		for _, i := range tasks {
			if i.Type == bus.TypeFile && i.State == bus.StateRunning && i.NodeID != "" {
				killed = i.NodeID
				return ""
			}
		}
		return "no task runs"
	})
	for _, n := range readers {
		if n.Info.NodeID == killed {
			n.Kill()
		}
	}
	r := <-text
	for _, want := range []string{"marzipan", `"attempts":2`} {
		if r.Code != 0 || !strings.Contains(r.Stdout, want) {
			t.Errorf("%q is missing: %v", want, r)
		}
	}
	if strings.Contains(r.Stdout, string(killed)) || strings.Contains(r.Stdout, string(a.Info.NodeID)) {
		t.Errorf("read by one that was killed or does not read: %v", r)
	}
}

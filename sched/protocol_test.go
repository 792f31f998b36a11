package sched_test

import (
	"os"
	"strings"
	"testing"
)

// The document names every protection, word for word.
func TestProtocolNamesEveryProtection(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.Join(strings.Fields(string(b)), " ")
	for _, p := range constants(t, "protect.go", "Protection") {
		if !strings.Contains(doc, "*"+string(p)+"*") {
			t.Errorf("docs/protocol.md does not name %q", p)
		}
	}
}

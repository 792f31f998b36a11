//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// attaches chooses files for the next question.
func (x *webPage) attaches(files ...string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.SetUploadFiles(chromedp.ID("files"), files)); err != nil {
		x.t.Fatal(err)
	}
}

// A question goes with documents: another machine makes text of them, once, which the model gets to read with each question, and
// which stays with the conversation.
func TestDocumentsInABrowser(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	reads := func(r engine.Request) engine.Script {
		return engine.Script{Words: []string{fmt.Sprintf("I read %q", r.Prompt)}}
	}
	a := s.Found(t, "laptop", "--no-files", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: reads}).URL())
	b := s.Join(t, a, "minipc")
	harness.Settle(t, a, b)
	awaitModel(t, a, "laptop", engine.Model, true)
	report, err := filepath.Abs("../handlers/file/testdata/report.pdf")
	if err != nil {
		t.Fatal(err)
	}
	noise, picture, note := filepath.Join(t.TempDir(), "noise.bin"), filepath.Join(t.TempDir(), "photo.png"), filepath.Join(t.TempDir(), "note.md")
	for file, says := range map[string]string{noise: "\x00\x01\x02\x03\xfa", picture: "none", note: "A *note*."} {
		if err := os.WriteFile(file, []byte(says), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x := openPage(t, a.Info.HTTPURL+"/ui/chat")
	x.sees("#model", engine.Model)
	x.attaches(report, noise, picture, note)
	x.sees("#state", "noise.bin: \"noise.bin\" is application/octet-stream", "photo.png: this model sees no pictures")
	x.sees("#attached", "report.pdf", "note.md")
	x.click("#attached button") // Remove, of the last
	x.accessible("a document that goes along")
	x.asks("What did it cost?")
	x.sees(".turn.user", "What did it cost?", "report.pdf")
	x.awaits(1, "<document>\\nreport.pdf\\n\\n", "[page 1]", "</document>\\n\\nWhat did it cost?")
	if said := x.answers()[0]; strings.Contains(said, "note") {
		t.Errorf("what was removed went along: %s", said)
	}
	if hidden := eval[bool](x, "document.getElementById('attached').hidden"); !hidden {
		t.Error("it goes along with the next question, too")
	}
	x.click(".turn.user summary")
	x.sees(".turn.user details", "[page 1]")
	x.accessible("a document in a conversation")

	// The text is kept: after a reload the model gets it, though nobody is there who reads.
	b.Kill()
	x.goTo(a.Info.HTTPURL + "/ui/chat")
	x.sees("#model", engine.Model)
	x.click(".turn.assistant button") // Again
	x.awaits(1, "[page 1]", "What did it cost?", "first word after")
	b.Start(t)
	harness.Settle(t, a, b)

	// What is pasted goes along, too.
	eval[bool](x, `(() => {
		const carries = new DataTransfer()
		carries.items.add(new File(["A pasted table,1\n"], "table.csv", {type: "text/csv"}))
		document.getElementById("question").dispatchEvent(new ClipboardEvent("paste", {clipboardData: carries, cancelable: true}))
		return true
	})()`)
	x.sees("#attached", "table.csv")
	x.holds("!document.getElementById('send').disabled")
	x.asks("")
	x.awaits(2, "A pasted table,1")
	x.quiet("/ui/chat/document") // what was refused
}

package lab

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Fault is one row of the catalogue: what happens, what is promised then, and the test of it.
type Fault struct {
	// Key finds what a run has reached; empty where the test counts nothing.
	Key string
	// Event and Promise are for people.
	Event, Promise string
	// Test names the test; empty where there is none yet. It is in Package, which is ./e2e where
	// that is empty.
	Test, Package string
	// Without is what holds the promise up: with all of it taken out the test fails, and its output
	// matches the regular expression Then.
	Without []protect.Protection
	Then    string
	// Small is the environment of a test without protection: what makes it short.
	Small []string
	// Count and Figure are what was reached; Harm is what Then matched.
	Count        int
	Figure, Harm string
}

// Page is the tables of the catalogue: what goes wrong, and what somebody does on purpose, where
// Event is the attack and Promise what holds against it.
type Page struct {
	Faults  []Fault
	Attacks []Fault
	Version string
	When    time.Time
}

// Markdown renders p.
func (p Page) Markdown() string {
	var b strings.Builder
	b.WriteString(`# Reliability

What goes wrong, what is promised then, and what the tests reached: one row for each fault of the
catalogue. A test that counts faults makes them on real processes, on loopback or in network
namespaces on a bridge, and ends in a ledger that is kept outside the program: what clients were
told against what scripted engines ran. Its count is how often the fault was made.

Each test ran once more on a program without the protection in the last column, and failed: what
it said then follows. Only the lab builds such a program; in any other there is no switch.

`)
	rows(&b, "what happens | promised", p.Faults)
	b.WriteString(`
## Attacks

What somebody may try, what holds against it, and what the tests reached; [SECURITY.md](../SECURITY.md)
says what is promised and what is not. The attacks go against real daemons; the count is how many were
tried. Documents and archives that others made are attacked by the tests of handlers/file, plugins by TestPlugin.

`)
	rows(&b, "attack | control", p.Attacks)
	fmt.Fprintf(&b, "\nMeasured on %s, mycoSwarm %s. Made by the fault lab with `MYCO_FIGURES=1` "+
		"(`task lab:full` with the published counts); not edited by hand.\n",
		p.When.Format(time.DateOnly), cmp.Or(p.Version, "of an unknown version"))
	return b.String()
}

// rows writes one table.
func rows(b *strings.Builder, head string, faults []Fault) {
	fmt.Fprintf(b, "| %s | test | count | reached | without |\n|---|---|---|---:|---|---|\n", head)
	for _, f := range faults {
		test, count := "none yet", ""
		if f.Test != "" {
			test = "`" + f.Test + "`"
		}
		if f.Package != "" {
			test += " in " + strings.TrimPrefix(f.Package, "./")
		}
		if f.Count > 0 {
			count = fmt.Sprint(f.Count)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", f.Event, f.Promise, test, count, f.Figure, f.without())
	}
}

// escape keeps what a test says from ending the cell, and from being taken for HTML.
var escape = strings.NewReplacer("|", `\|`, "<", `\<`)

// without tells what the last column does.
func (f Fault) without() string {
	var rules []string
	for _, p := range f.Without {
		rules = append(rules, "*"+string(p)+"*")
	}
	if len(rules) == 0 {
		return ""
	}
	return strings.Join(rules, ", ") + ": " + escape.Replace(cmp.Or(f.Harm, "not tried"))
}

// Write renders p into the file docs/reliability.md below root.
func (p Page) Write(root string) error {
	if err := os.WriteFile(filepath.Join(root, "docs", "reliability.md"), []byte(p.Markdown()), 0o644); err != nil {
		return fmt.Errorf("write the table of faults: %w", err)
	}
	return nil
}

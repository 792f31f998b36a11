package lab

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Fault is one row of the catalogue: what happens, what is promised then, and the test of it.
type Fault struct {
	// Key finds what a run has reached; empty where the test counts nothing.
	Key string
	// Event and Promise are for people.
	Event, Promise string
	// Test names the test; empty where there is none yet.
	Test string
	// Count and Figure are what was reached.
	Count  int
	Figure string
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

`)
	rows(&b, "what happens | promised", p.Faults)
	b.WriteString(`
## Attacks

What somebody may try, what holds against it, and what the tests reached; [SECURITY.md](../SECURITY.md)
says what is promised and what is not. The attacks go against real daemons; the count is how many were
tried. Fetching from the web, archives and documents that others made, and plugins have no rows: those
come with the features.

`)
	rows(&b, "attack | control", p.Attacks)
	fmt.Fprintf(&b, "\nMeasured on %s, mycoSwarm %s. Made by the fault lab with `MYCO_FIGURES=1` "+
		"(`task lab:full` with the published counts); not edited by hand.\n",
		p.When.Format(time.DateOnly), cmp.Or(p.Version, "of an unknown version"))
	return b.String()
}

// rows writes one table.
func rows(b *strings.Builder, head string, faults []Fault) {
	fmt.Fprintf(b, "| %s | test | count | reached |\n|---|---|---|---:|---|\n", head)
	for _, f := range faults {
		test, count := "none yet", ""
		if f.Test != "" {
			test = "`" + f.Test + "`"
		}
		if f.Count > 0 {
			count = fmt.Sprint(f.Count)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", f.Event, f.Promise, test, count, f.Figure)
	}
}

// Write renders p into the file docs/reliability.md below root.
func (p Page) Write(root string) error {
	if err := os.WriteFile(filepath.Join(root, "docs", "reliability.md"), []byte(p.Markdown()), 0o644); err != nil {
		return fmt.Errorf("write the table of faults: %w", err)
	}
	return nil
}

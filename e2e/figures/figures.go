// Package figures writes down what the tests measured: a table in docs/figures for each group
// of promises, made by the run itself, so that no figure is copied by hand.
package figures

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// EnvRecord switches recording on, EnvFull asks for the published number of repetitions.
const (
	EnvRecord = "MYCO_FIGURES"
	EnvFull   = "FIGURES"
)

// Repetitions is how often a test measures: few in an ordinary run, 20 when the figures that
// are published are made (FIGURES=1).
func Repetitions(few int) int {
	if os.Getenv(EnvFull) == "1" {
		return 20
	}
	return few
}

// Row is one promise and what was measured of it.
type Row struct {
	// What is measured, in a few words.
	What string
	// Promised is the figure that the project stands for; 0 where there is none, to compare with.
	Promised time.Duration
	// Samples are the measurements; at least one.
	Samples []time.Duration
}

// Median returns the middle sample, the lower one of two; 0 of none.
func (r Row) Median() time.Duration {
	if len(r.Samples) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(r.Samples))
	return s[(len(s)-1)/2]
}

// Page is one file of docs/figures.
type Page struct {
	// File is its name without folder or ending.
	File string
	// Title heads it; Text tells how it was measured.
	Title, Text string
	Rows        []Row
	// Version is that of the programs that were measured; When is the day.
	Version string
	When    time.Time
}

// Markdown renders p.
func (p Page) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", p.Title, p.Text)
	b.WriteString("| what | promised | median | n | min to max |\n|---|---:|---:|---:|---:|\n")
	for _, r := range p.Rows {
		promised := ""
		if r.Promised > 0 {
			promised = Format(r.Promised)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %s to %s |\n", r.What, promised, Format(r.Median()),
			len(r.Samples), Format(slices.Min(r.Samples)), Format(slices.Max(r.Samples)))
	}
	fmt.Fprintf(&b, "\nMeasured on %s, mycoSwarm %s. Made by `task figures`; not edited by hand.\n",
		p.When.Format(time.DateOnly), cmp.Or(p.Version, "of an unknown version"))
	return b.String()
}

// Format renders d with three significant digits, in ms below a second.
func Format(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
}

// Write renders p into folder dir.
func Write(dir string, p Page) error {
	for _, r := range p.Rows {
		if len(r.Samples) == 0 {
			return fmt.Errorf("write figures %s: %q has no samples", p.File, r.What)
		}
	}
	if p.File == "" {
		return errors.New("write figures: the page has no file name")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder for figures: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, p.File+".md"), []byte(p.Markdown()), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// Limit is how far above its promise a median may be before a test fails: ten times, so that
// a busy machine does not fail a build and a real fault does.
const Limit = 10

// Record checks each row against Limit, logs it, and writes the page into dir when MYCO_FIGURES=1.
// A test that has failed already records nothing.
func Record(t testing.TB, dir string, p Page) {
	t.Helper()
	for _, r := range p.Rows {
		t.Logf("%s: median %s of %d", r.What, Format(r.Median()), len(r.Samples))
		if r.Promised > 0 && r.Median() > Limit*r.Promised {
			t.Errorf("%s: median %s, over %d times the promised %s", r.What, Format(r.Median()), Limit, Format(r.Promised))
		}
	}
	if t.Failed() || os.Getenv(EnvRecord) != "1" {
		return
	}
	if err := Write(dir, p); err != nil {
		t.Error(err)
	}
}

package figures_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func page() figures.Page {
	return figures.Page{
		File: "loss", Title: "When a host dies", Text: "Three processes on loopback.",
		Rows: []figures.Row{{
			What: "first result", Promised: time.Second,
			Samples: []time.Duration{300 * time.Millisecond, 75123 * time.Microsecond, 1500 * time.Millisecond},
		}},
		Version: "v0.1.0", When: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
}

const want = `# When a host dies

Three processes on loopback.

| what | promised | median | n | min to max |
|---|---:|---:|---:|---:|
| first result | 1.00 s | 300 ms | 3 | 75.1 ms to 1.50 s |

Measured on 2026-11-23, mycoSwarm v0.1.0. Made by ` + "`task figures`" + `; not edited by hand.
`

func TestMarkdown(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(want, page().Markdown()); diff != "" {
		t.Error(diff)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "figures")
	if err := figures.Write(dir, page()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "loss.md"))
	if err != nil || string(b) != want {
		t.Errorf("file %q, error %v", b, err)
	}
	p := page()
	p.Rows[0].Samples = nil
	if err := figures.Write(dir, p); err == nil {
		t.Error("a row without samples was written")
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   []time.Duration
		want time.Duration
	}{
		{nil, 0},
		{[]time.Duration{3}, 3},
		{[]time.Duration{4, 1}, 1},
		{[]time.Duration{9, 1, 5}, 5},
	} {
		if got := (figures.Row{Samples: c.in}).Median(); got != c.want {
			t.Errorf("median of %v: %d, want %d", c.in, got, c.want)
		}
	}
}

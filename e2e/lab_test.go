//go:build e2e && linux

package e2e_test

import (
	"os"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// few or many: a count of an ordinary run, and the one of the published figures.
func count(few, many int) int {
	if os.Getenv(figures.EnvFull) == "1" {
		return many
	}
	return few
}

// Workers and hosts of five are killed at random under a steady load, each with a restart
// moments later: nothing accepted is lost, no result is told twice, and nothing that a node
// which lives had finished is run again, but for a few whose late result is superseded: of 200
// tasks one, where all who knew of its end died within moments of each other.
func TestRandomKills(t *testing.T) {
	seed := lab.Seed(t, 1)
	n := lab.Number(t, lab.EnvKills, count(100, 1000))
	c := lab.Start(t, programs, lab.Options{Size: 5})
	end := c.Load(lab.Load{Every: 40 * time.Millisecond}, lab.Rand(seed, 2))
	c.Run(lab.Kills(lab.Rand(seed, 1), len(c.Members), n), nil)
	end()
	c.Settle()
	r := c.Audit(lab.Rules{Again: len(c.Book.Entries()) / 200})
	if got := r.Hurts[lab.Kill]; got != n {
		t.Errorf("%d kills, want %d", got, n)
	}
	reach(t, "kills", n, r.String())
	c.Tidy()
}

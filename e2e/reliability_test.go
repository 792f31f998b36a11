//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
)

// reached is what this run has reached of the catalogue of faults, by the row's key.
var reached struct {
	mu   sync.Mutex
	rows map[string]reach1
}

type reach1 struct {
	count  int
	figure string
}

// reach notes that a row's test passed: how often the fault was made, and the figure. A test
// that has failed notes nothing.
func reach(t *testing.T, key string, count int, figure string) {
	t.Helper()
	t.Logf("%s: %d times: %s", key, count, figure)
	if t.Failed() {
		return
	}
	reached.mu.Lock()
	defer reached.mu.Unlock()
	if reached.rows == nil {
		reached.rows = map[string]reach1{}
	}
	reached.rows[key] = reach1{count, figure}
}

// reachRow checks a time against its promise as the pages of figures do, and notes it.
func reachRow(t *testing.T, key string, r figures.Row) {
	t.Helper()
	if len(r.Samples) == 0 {
		t.Errorf("%s: nothing was measured", r.What)
		return
	}
	if r.Promised > 0 && r.Median() > figures.Limit*r.Promised {
		t.Errorf("%s: median %s, over %d times the promised %s", r.What, figures.Format(r.Median()), figures.Limit, figures.Format(r.Promised))
	}
	reach(t, key, len(r.Samples), fmt.Sprintf("%s after %s", r.What, figures.Format(r.Median())))
}

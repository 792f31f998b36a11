package daemon_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/figures"
)

// Five nodes in one process: from the start of the first to the moment when each sees all five
// ready, under one queue host, and the last is answered by the first. It runs beside no other
// test.
func TestFiveAreUpSoon(t *testing.T) {
	row := figures.Row{What: "five nodes are one swarm that answers", Promised: 2 * time.Second}
	for range figures.Repetitions(1) {
		begin := time.Now()
		nodes := []*node{start(t, "a", withDemo)}
		for _, name := range []string{"b", "c", "d", "e"} {
			n := newNode(t, name, joining(nodes[0]))
			n.launch()
			nodes = append(nodes, n)
		}
		for _, n := range nodes[1:] {
			n.up()
		}
		settle(t, nodes...)
		paris(t, last(t, nodes[4], inference(t)), nodes[0])
		row.Samples = append(row.Samples, time.Since(begin))
		for _, n := range nodes {
			check(t, n.stop())
		}
	}
	figures.Record(t, filepath.Join("..", "..", "docs", "figures"), figures.Page{
		File: "five", Title: "A swarm of five comes up",
		Text: "Five daemons in one test process, on loopback: the first founds a swarm, four join it at once with a token each. " +
			"Counted from the start of the first until each sees all five ready under one queue host, and a question on the last is answered by the first.",
		Rows: []figures.Row{row}, Version: "0.0.1", When: time.Now(),
	})
}

package sched

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// maxCounts is how many kinds of task a host tells of in its heartbeat: those with most waiting.
const maxCounts = 32

// count notes what is in the queues, for people to see. The caller holds mu.
func (h *host) count() {
	kinds := map[bus.QueueCount]bus.QueueCount{}
	for _, k := range h.keys {
		if k.nOpen+k.claims+k.past == 0 {
			continue
		}
		kind := bus.QueueCount{Lane: k.key.Lane, Class: k.key.Class, Model: k.key.Model}
		c := kinds[kind]
		if c.Class == "" {
			c = kind
		}
		c.Waiting += k.nOpen
		c.Running += k.claims + k.past
		kinds[kind] = c
	}
	counts := make([]bus.QueueCount, 0, len(kinds))
	for _, c := range kinds {
		counts = append(counts, c)
	}
	slices.SortFunc(counts, func(a, b bus.QueueCount) int {
		return cmp.Or(b.Waiting-a.Waiting, b.Running-a.Running, strings.Compare(string(b.Lane), string(a.Lane)),
			strings.Compare(a.Class, b.Class), strings.Compare(a.Model, b.Model))
	})
	if len(counts) > maxCounts {
		counts = counts[:maxCounts]
	}
	h.counts.Store(&counts)
}

package bus_test

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Of two processes with one identity exactly one goes on, whoever compares them.
func TestOlderOfTwins(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ older, younger bus.Instance }{
		"by uptime":                {bus.Instance{Boot: "b", UptimeMS: 2}, bus.Instance{Boot: "a", UptimeMS: 1}},
		"by start, of one uptime":  {bus.Instance{Boot: "a", UptimeMS: 1}, bus.Instance{Boot: "b", UptimeMS: 1}},
		"whatever their hosts are": {bus.Instance{Boot: "b", Host: "z", UptimeMS: 2}, bus.Instance{Boot: "a", Host: "a", UptimeMS: 1}},
	} {
		if !tt.older.Older(tt.younger) || tt.younger.Older(tt.older) {
			t.Errorf("%s: %+v does not go before %+v, or both do", name, tt.older, tt.younger)
		}
	}
}

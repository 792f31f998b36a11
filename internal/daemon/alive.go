package daemon

import (
	"context"
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Alive asks this daemon for its status as others ask it, over the bus, and returns the answer. Only a
// daemon whose bus carries messages and whose parts let go of their locks answers; it needs no other node,
// no engine and no disk. It may be called once Ready is closed, and fails once the daemon stops.
func (d *Daemon) Alive(ctx context.Context) (bus.Status, error) {
	var s bus.Status
	m, err := d.rpc.RequestWithContext(ctx, bus.SubjectRPC(d.id.NodeID(), bus.VerbStatus), nil)
	if err != nil {
		return s, fmt.Errorf("ask the own bus: %w", err)
	}
	if err := bus.Unmarshal(m.Data, &s); err != nil {
		return s, fmt.Errorf("read the own status: %w", err)
	}
	if s.Node.ID != d.id.NodeID() {
		return s, fmt.Errorf("the own bus answers %.200q", m.Data)
	}
	return s, nil
}

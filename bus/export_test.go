package bus

import (
	"context"
	"time"
)

// FindDataDirBut is FindDataDir on a machine whose service keeps its data in system.
func FindDataDirBut(system string) string { return findDataDir(system) }

// WithLimit says how long the daemon may take to answer Dial.
func WithLimit(d time.Duration) Option { return func(to *dialer) { to.limit = d } }

// Flush returns once all that the daemon had sent to c before has come.
func (c *Conn) Flush(ctx context.Context) error { return c.flush(ctx) }

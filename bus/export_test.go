package bus

import "context"

// FindDataDirBut is FindDataDir on a machine whose service keeps its data in system.
func FindDataDirBut(system string) string { return findDataDir(system) }

// Flush returns once all that the daemon had sent to c before has come.
func (c *Conn) Flush(ctx context.Context) error { return c.flush(ctx) }

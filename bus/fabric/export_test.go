package fabric

import "time"

// SetHandshake says how long the handshake of a route may take; before Start.
func (f *Fabric) SetHandshake(d time.Duration) { f.handshake = d }

package daemon

import (
	"fmt"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// maxTold is how many bytes all offers of programs may have together: a heartbeat that no message takes is not heard.
const maxTold = 256 << 10

// offer is what one program said that it can run.
type offer struct {
	capability bus.Capability
	size       int // of capability, encoded
	subjects   bus.ServeReply
	at         time.Time
	busy       int
}

// stale reports whether its program has not renewed it in time. A process that is stopped, or hangs, listens all the
// same, for as long as the server keeps its connection: a task would wait there for its watchdog.
func (o *offer) stale(now time.Time) bool { return now.Sub(o.at) > offerLife }

func (o *offer) has(model string) bool {
	if model == "" {
		return true
	}
	for _, m := range o.capability.Models {
		if bus.SameModel(m.Name, model) {
			return true
		}
	}
	return false
}

// told is the size of an offer, in bytes, if there is room for it beside all others.
func (p *programs) told(req bus.ServeRequest) (int, error) {
	data, err := bus.Marshal(req.Capability)
	if err != nil {
		return 0, fmt.Errorf("encode an offer: %w", err)
	}
	all := len(data)
	for typ, k := range p.kinds {
		k.mu.Lock()
		for program, o := range k.offers {
			if typ != req.Capability.Type || program != req.Program { // else it is replaced
				all += o.size
			}
		}
		k.mu.Unlock()
	}
	if all > maxTold {
		return 0, bus.Errorf(bus.CodeTooLarge, "the programs of this machine offer too much: what they serve, with the names of all models, has %d KiB, and every node is told of it: the limit is %d KiB", all>>10, maxTold>>10)
	}
	return len(data), nil
}

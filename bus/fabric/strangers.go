package fabric

import (
	"fmt"
	"maps"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// pins are the keys that may have a route.
type pins struct {
	keys map[string]struct{}
	// fewer tells that a key was taken out since the server was started.
	fewer bool
	// looked are the routes that were there when the server looked at all keys anew, or since when none was taken out.
	looked map[uint64]struct{}
	again  bool // nobody is among what the server has
}

// change takes in that the server has keys now, and has looked at its routes.
func (p *pins) change(keys map[string]struct{}) {
	for k := range p.keys {
		if _, stays := keys[k]; !stays {
			p.fewer = true
		}
	}
	p.keys, p.again = keys, false
}

// nobody is the hash of no key.
var nobody = strings.Repeat("0", 64)

// cutStrangers cuts routes of keys that are not pinned. The server (2.15.2) looks at a key once, when the handshake of TLS
// ends, and at a change of the pinned keys at the routes that it has by then. What is in between, which whoever is on the
// other side may make as long as he likes, becomes a route later. So where keys were taken out each new route is looked at
// once more: by a change that changes nothing, since the server looks at no other time. f.changing is held.
func (f *Fabric) cutStrangers() error {
	rz, err := f.server().Routez(nil)
	if err != nil {
		return fmt.Errorf("list the routes: %w", err)
	}
	there, all := make(map[uint64]struct{}, len(rz.Routes)), true
	for _, r := range rz.Routes {
		there[r.Rid] = struct{}{}
		if _, looked := f.pinned.looked[r.Rid]; !looked {
			all = false
		}
	}
	if !all && f.pinned.fewer && f.pinned.keys != nil {
		keys := maps.Clone(f.pinned.keys)
		if !f.pinned.again {
			keys[nobody] = struct{}{}
		}
		if err := f.reload(func(o *server.Options) { o.Cluster.TLSPinnedCerts = keys }); err != nil {
			return fmt.Errorf("look at the keys of new routes: %w", err)
		}
		f.pinned.again = !f.pinned.again
	}
	f.pinned.looked = there
	return nil
}

package daemon

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// rotate gives this machine's users new credentials. Whoever uses the old ones is cut once the
// reply is on its way.
func (s *rpcServer) rotate(context.Context, []byte) (answer, error) {
	d := s.d
	d.changing.Lock()
	defer d.changing.Unlock()
	key := newHTTPKey()
	path := func(file string) string { return filepath.Join(d.cfg.DataDir, file) }
	err := d.fabric.RotateClients(func(user, observer string) error {
		return replaceFiles(writeFile, []secretFile{
			{path(bus.UserCreds), user},
			{path(bus.ObserverCred), observer},
			{path(bus.HTTPKeyFile), key},
		})
	})
	if err == nil {
		err = d.openToGroup()
	}
	if err != nil {
		return answer{}, err
	}
	d.gateway.SetKey(key)
	d.log.Warn("replaced the credentials of this machine's users; programs that use the old ones are cut", "dir", d.cfg.DataDir)
	return answer{
		reply: bus.Rotation{Dir: d.cfg.DataDir, Files: []string{bus.UserCreds, bus.ObserverCred, bus.HTTPKeyFile}},
		then:  d.cutStaleClients,
	}, nil
}

// rotateSwarm replaces the swarm's key. Members go along as they hear of it; no route is cut for it.
func (d *Daemon) rotateSwarm(context.Context, none) (any, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	phrase, err := d.id.RotateSwarm()
	if err != nil {
		return nil, identityError(err)
	}
	d.log.Warn("replaced the swarm's key; its members go along", "swarm", d.id.Swarm().Name, "id", d.id.Swarm().ID.Short())
	d.notePhraseShown()
	d.swarmChanged()
	d.trust.publish(d.id.Export())
	r := d.roster()
	return bus.SwarmRotation{Swarm: r.Swarm, Phrase: phrase, Members: r.Members}, nil
}

// wentAlong tells everybody here where the swarm's key is another than before.
func (d *Daemon) wentAlong(before identity.Info) {
	now := d.id.Swarm()
	if now.ID == before.ID {
		return
	}
	d.log.Warn("the swarm's key was replaced, and this node goes along", "swarm", now.Name, "id", now.ID.Short())
	d.swarmChanged()
}

func (d *Daemon) cutStaleClients() {
	if err := d.rpc.Flush(); err != nil {
		d.log.Warn("send the reply with the new credentials", "err", err)
	}
	n, err := d.fabric.CutStaleClients()
	if err != nil {
		d.log.Error("cut the connections that use old credentials; restart mycod to cut them", "err", err)
		return
	}
	d.log.Info("cut connections that used old credentials", "count", n)
}

// secretFile is a file with one secret in it.
type secretFile struct{ path, secret string }

// replaceFiles replaces the content of all files, or of none. Where it cannot write back what was in some, it names these.
func replaceFiles(write func(path string, data []byte) error, files []secretFile) error {
	var old []secretFile
	for _, f := range files {
		was, err := atomicfile.Read(f.path)
		if err != nil {
			err = fileError(f.path, err)
		} else {
			err = write(f.path, []byte(f.secret+"\n"))
		}
		if err == nil {
			old = append(old, secretFile{f.path, string(was)})
			continue
		}
		var stay []string
		var undone error
		for _, o := range old {
			if undo := write(o.path, []byte(o.secret)); undo != nil {
				stay, undone = append(stay, o.path), cmp.Or(undone, undo)
			}
		}
		if stay != nil {
			return bus.Errorf(bus.CodeInternal, "%w; and what is now in %s is not in use: %w", err, strings.Join(stay, " and "), undone).
				WithHint("restart mycod: it takes the credentials that are in the files")
		}
		return err
	}
	return nil
}

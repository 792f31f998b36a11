package fabric

import (
	"fmt"
	"math"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// maxRotations is how often the clients' credentials can be replaced while a server runs.
//
// At a reload the server (2.15.2) cuts every client whose key is not in the list of users that it
// was made with, whatever the guard says, and that list cannot be added to later. So the keys of
// rotations to come are made before the server and are in its list; the guard, which decides,
// knows the two that are in use.
const maxRotations = 32

// clientKeys are the two credentials that clients get, at one time.
type clientKeys struct {
	userSeed, observerSeed string
	userPub, observerPub   string
}

func newClientKeys(n int) ([]clientKeys, error) {
	out := make([]clientKeys, n)
	for i := range out {
		k := &out[i]
		for seed, pub := range map[*string]*string{&k.userSeed: &k.userPub, &k.observerSeed: &k.observerPub} {
			kp, err := nkeys.CreateUser()
			if err != nil {
				return nil, fmt.Errorf("make a credential: %w", err)
			}
			b, err := kp.Seed()
			if err != nil {
				return nil, fmt.Errorf("make a credential: %w", err)
			}
			*seed = string(b)
			if *pub, err = kp.PublicKey(); err != nil {
				return nil, fmt.Errorf("make a credential: %w", err)
			}
		}
	}
	return out, nil
}

// known lists the users that the server is to know of: those who may connect, and those who may
// after a rotation.
func known(c Config, k *keyring, acc *server.Account) []*server.NkeyUser {
	out := users(c, k, acc)
	for _, s := range k.spare {
		for _, pub := range []string{s.userPub, s.observerPub} {
			out = append(out, &server.NkeyUser{
				Nkey: pub, Account: acc, AllowedConnectionTypes: map[string]struct{}{jwt.ConnectionTypeStandard: {}},
				Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{">"}}, Subscribe: &server.SubjectPermission{Deny: []string{">"}}},
			})
		}
	}
	return out
}

// RotateClients replaces the clients' credentials. keep is given the seeds of the new ones, of user
// and observer, and puts them where clients find them; where it fails, nothing has changed. Once
// RotateClients has returned, the old credentials let nobody in any more; who is in already stays
// until CutStaleClients. With CodeUnavailable it has been done too often since the start.
func (f *Fabric) RotateClients(keep func(user, observer string) error) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.server() == nil {
		return errNotRunning
	}
	if f.rotations == len(f.keys.spare) {
		return bus.Errorf(bus.CodeUnavailable, "the credentials were replaced %d times since mycod started, and cannot be again", f.rotations).
			WithHint("restart mycod, then run this again")
	}
	next := f.keys.spare[f.rotations]
	if err := keep(next.userSeed, next.observerSeed); err != nil {
		return err
	}
	f.rotations++
	f.cfg.UserKey, f.cfg.ObserverKey = next.userPub, next.observerPub
	f.guard.set(users(f.cfg, f.keys, nil))
	return nil
}

// CutStaleClients cuts every client whose key may not connect any more, once what was sent to
// it is on its way, and returns how many those were. A reload leaves everybody as he is, so
// each is cut by its id.
func (f *Fabric) CutStaleClients() (int, error) {
	f.mu.Lock()
	s, g := f.srv, f.guard
	f.mu.Unlock()
	if s == nil {
		return 0, errNotRunning
	}
	list, err := s.Connz(&server.ConnzOptions{Username: true, Limit: math.MaxInt32})
	if err != nil {
		return 0, fmt.Errorf("list the clients: %w", err)
	}
	cut := 0
	if protect.Stale.Off() {
		return cut, nil
	}
	for _, c := range list.Conns {
		// One that has not said yet who it is will be judged by the new keys.
		if c.AuthorizedUser == "" || g.knows(c.AuthorizedUser) {
			continue
		}
		if err := s.DisconnectClientByID(c.Cid); err == nil { // else it is gone by itself
			cut++
		}
	}
	return cut, nil
}

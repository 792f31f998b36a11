package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

const (
	// handoverLimit is how long another node may take for one step of taking the swarm key over.
	handoverLimit = 5 * time.Second
	// farewellLimit is how long a node that is revoked may take to show that it has heard of it.
	farewellLimit = 500 * time.Millisecond
)

// trustVerbs are the verbs about who is trusted.
func (s *rpcServer) trustVerbs() map[string]verb {
	d, id := s.d, s.d.id.NodeID()
	return map[string]verb{
		bus.SubjectRPC(id, bus.VerbNodes):              plain(func(context.Context, none) (any, error) { return d.roster(), nil }),
		bus.SubjectPayloadRPC(id, bus.VerbPromote):     plain(d.promote),
		bus.SubjectPayloadRPC(id, bus.VerbRevoke):      plain(d.revoke),
		bus.SubjectPayloadRPC(id, bus.VerbRecover):     plain(d.recoverKey),
		bus.SubjectPayloadRPC(id, bus.VerbRotate):      s.rotate,
		bus.SubjectPayloadRPC(id, bus.VerbRotateSwarm): plain(d.rotateSwarm),
		bus.SubjectTrust(id, bus.VerbTrustOffer):       s.offerKey,
		bus.SubjectTrust(id, bus.VerbTrustTake):        s.takeKey,
	}
}

// roster is everybody who is or was in the swarm.
func (d *Daemon) roster() bus.Roster {
	out := bus.Roster{Swarm: d.swarm(), Here: d.id.NodeID(), Members: []bus.Member{}}
	states := map[bus.NodeID]bus.NodeState{}
	for _, n := range d.nodes() {
		states[n.ID] = n.State
	}
	for _, s := range d.id.Standings() {
		out.Members = append(out.Members, viewMember(s, states))
	}
	return out
}

// viewMember is a member as it is told; states has those that are in the swarm.
func viewMember(s identity.Standing, states map[bus.NodeID]bus.NodeState) bus.Member {
	m := bus.Member{
		ID: s.Node, Name: s.Name, Since: s.Since, AddedBy: s.By.NodeID(), Holder: s.Holder,
		Ended: s.Ended, EndedBy: s.EndedBy.NodeID(),
	}
	switch s.State {
	case identity.StateRevoked:
		m.State = bus.NodeRevoked
	case identity.StateLeft:
		m.State = bus.NodeLeft
	default:
		// A node that was itself put out knows nothing of the others.
		if m.State = states[s.Node]; m.State == "" {
			m.State = bus.NodeLost
		}
	}
	return m
}

// wasPutOut reports whether a node was put out of this swarm, and the name that it has or had.
func (d *Daemon) wasPutOut(node bus.NodeID) (name string, out bool) {
	for _, s := range d.id.Standings() {
		switch {
		case s.Node != node:
		case s.State == identity.StateRevoked:
			return s.Name, true
		default:
			name = s.Name
		}
	}
	return name, false
}

// memberOf finds who is meant in the roster.
func (d *Daemon) memberOf(node bus.NodeID) (bus.Member, error) {
	members := d.roster().Members
	i := slices.IndexFunc(members, func(m bus.Member) bool { return m.ID == node })
	switch {
	case i < 0:
		return bus.Member{}, bus.Errorf(bus.CodeNotFound, "no node %q was ever in this swarm", node).WithHint("myco nodes")
	case members[i].State == bus.NodeLeft:
		return members[i], bus.Errorf(bus.CodeNotFound, "%s has left the swarm", members[i].Name).WithHint("myco nodes")
	}
	return members[i], nil
}

// promote hands the swarm key to another member.
func (d *Daemon) promote(ctx context.Context, req bus.NodeRequest) (any, error) {
	if err := d.id.MaySign(); err != nil {
		return nil, identityError(err)
	}
	m, err := d.memberOf(req.Node)
	switch {
	case err != nil:
		return nil, err
	case m.State == bus.NodeRevoked:
		return nil, bus.Errorf(bus.CodeNotFound, "%s was put out of the swarm", m.Name).WithHint("myco nodes")
	case m.Holder:
		return bus.TrustReply{Member: m}, nil
	}
	if _, routed := d.fabric.Routed()[m.ID]; !routed {
		return nil, bus.Errorf(bus.CodeUnavailable, "%s cannot be reached, and must be up to be given the swarm key", m.Name).
			WithHint("start mycod there, wait until myco nodes shows it ready, and run this again")
	}
	offer, err := d.askNode(ctx, m, bus.VerbTrustOffer, nil)
	if err != nil {
		return nil, err
	}
	sealed, err := d.id.SealKey(m.ID, offer)
	if err != nil {
		return nil, identityError(err)
	}
	roster, err := d.askNode(ctx, m, bus.VerbTrustTake, sealed)
	if err != nil {
		return nil, err
	}
	if _, err := d.id.Import(roster); err != nil {
		d.log.Warn("take in the roster of a promoted node", "node", m.ID, "err", err)
	}
	if m, err = d.memberOf(m.ID); err != nil {
		return nil, err
	}
	if !m.Holder {
		return nil, bus.Errorf(bus.CodeInternal, "%s took the swarm key, and its roster does not say so", m.Name).WithHint("myco nodes")
	}
	d.log.Info("handed the swarm key to another node", "node", m.ID, "name", m.Name)
	return bus.TrustReply{Member: m, Changed: true}, nil
}

// askNode makes a request to the daemon of a member.
func (d *Daemon) askNode(ctx context.Context, m bus.Member, verb string, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, handoverLimit)
	defer cancel()
	r, err := d.rpc.RequestWithContext(ctx, bus.SubjectTrust(m.ID, verb), data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, bus.Errorf(bus.CodeUnavailable, "%s does not know how to take the swarm key: %w", m.Name, err).
			WithHint("install the same version of mycod on both, and run this again")
	case err != nil:
		return nil, bus.Errorf(bus.CodeUnavailable, "%s does not answer: %w", m.Name, err).WithHint("myco ping %s", m.Name)
	case r.Header.Get(bus.HeaderError) == "":
		return r.Data, nil
	}
	e := &bus.Error{}
	if err := bus.Unmarshal(r.Data, e); err != nil || e.Code == "" {
		e = bus.Errorf(bus.CodeInternal, "%s refused with status %q", m.Name, r.Header.Get(bus.HeaderError))
	}
	return nil, e
}

// offerKey is the other side of promote: a key to seal the swarm key to.
func (s *rpcServer) offerKey(context.Context, []byte) (answer, error) {
	offer, err := s.d.id.OfferKey()
	if err != nil {
		return answer{}, identityError(err)
	}
	return answer{reply: json.RawMessage(offer)}, nil
}

// takeKey is the other side of promote: this node holds the swarm key from here on.
func (s *rpcServer) takeKey(_ context.Context, sealed []byte) (answer, error) {
	if err := s.d.id.TakeKey(sealed); err != nil {
		return answer{}, identityError(err)
	}
	s.d.log.Info("this node was given the swarm key: it can invite, promote and revoke", "see", "myco nodes")
	return answer{reply: json.RawMessage(s.d.id.Export())}, nil
}

// revoke puts a member out: everybody is told, it as well, and then its routes are cut, here and
// wherever the news arrives.
func (d *Daemon) revoke(ctx context.Context, req bus.NodeRequest) (any, error) {
	if err := d.id.MaySign(); err != nil {
		return nil, identityError(err)
	}
	if req.Node == d.id.NodeID() {
		return nil, bus.Errorf(bus.CodeInvalid, "a node cannot revoke itself").WithHint("myco leave")
	}
	m, err := d.memberOf(req.Node)
	if err != nil {
		return nil, err
	}
	if m.State == bus.NodeRevoked {
		return bus.TrustReply{Member: m}, nil
	}
	news, err := d.id.Revocation(m.ID)
	if err != nil {
		return nil, identityError(err)
	}
	if _, routed := d.fabric.Routed()[m.ID]; routed {
		d.trust.publish(news)
		// Its answer comes after the news, on the same route. One that gives none is cut all the same.
		heard, cancel := context.WithTimeout(ctx, farewellLimit)
		if p := d.ping(heard, bus.NodeInfo{ID: m.ID, Name: m.Name}); p.Error != "" {
			d.log.Info("a node that is revoked does not answer", "node", m.ID, "why", p.Error)
		}
		cancel()
	}
	if _, err := d.id.Import(news); err != nil {
		return nil, identityError(fmt.Errorf("keep the revocation: %w", err))
	}
	d.log.Warn("put a node out of the swarm", "node", m.ID, "name", m.Name)
	if err := d.trust.apply(); err != nil {
		return nil, fmt.Errorf("cut the routes of %s: %w", m.ID, err)
	}
	if m, err = d.memberOf(m.ID); err != nil {
		return nil, err
	}
	return bus.TrustReply{Member: m, Changed: true}, nil
}

// recoverKey makes this node a holder of the swarm key by its phrase.
func (d *Daemon) recoverKey(_ context.Context, req bus.RecoverRequest) (any, error) {
	before := d.id.Swarm().Founder
	if err := d.id.Restore(cmp.Or(req.Phrase, req.Older)); err != nil {
		return nil, identityError(err)
	}
	m, err := d.memberOf(d.id.NodeID())
	if err != nil {
		return nil, err
	}
	if !before {
		d.log.Info("this node has the swarm key from its recovery phrase: it can invite, promote and revoke")
	}
	return bus.TrustReply{Member: m, Changed: !before}, nil
}

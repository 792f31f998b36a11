package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// Verbs about who is trusted.
const (
	VerbNodes = "nodes" // on SubjectRPC: -> Roster

	// On SubjectPayloadRPC.
	VerbPromote = "promote" // NodeRequest -> TrustReply: hands the swarm key to a member
	VerbRevoke  = "revoke"  // NodeRequest -> TrustReply: puts a member out
	VerbRecover = "recover" // RecoverRequest -> TrustReply: takes the swarm key from its phrase
	VerbRotate  = "rotate"  // -> Rotation, and then old connections are cut
	// -> SwarmRotation: replaces the swarm's key
	VerbRotateSwarm = "rotate_swarm"

	// On SubjectTrust, from one daemon to another.
	VerbTrustOffer = "offer" // -> a key to seal the swarm key to
	VerbTrustTake  = "take"  // the sealed swarm key -> the roster that tells of the new holder
)

// The states of a node that is in the swarm no more; only a Roster tells of them.
const (
	NodeRevoked NodeState = "revoked" // put out by a holder of the swarm key
	NodeLeft    NodeState = "left"    // went by itself
)

// Member is a node that was ever let into the swarm.
type Member struct {
	ID   NodeID `json:"id"`
	Name string `json:"name"`
	// State is that of NodeInfo, or NodeRevoked or NodeLeft.
	State NodeState `json:"state"`
	// Since is when it was let in, and AddedBy by whom; by itself, who founded the swarm.
	Since   time.Time `json:"since"`
	AddedBy NodeID    `json:"added_by,omitempty"`
	// Holder tells that it holds the swarm key, so it can invite, promote and revoke. Of a node
	// that is out, that it still has a copy.
	Holder bool `json:"holder"`
	// Ended is when it was revoked or left, and EndedBy who revoked it.
	Ended   time.Time `json:"ended,omitzero"`
	EndedBy NodeID    `json:"ended_by,omitempty"`
}

// Roster is everybody who is, or was, in the swarm: members by name, then who is out.
type Roster struct {
	Swarm SwarmInfo `json:"swarm"`
	// Here is the node that was asked.
	Here    NodeID   `json:"here"`
	Members []Member `json:"members"`
}

// Revocation tells why a node is alone: it was put out of its swarm.
type Revocation struct {
	// By is who did it, by id and name; empty where that is not known.
	By     NodeID    `json:"by,omitempty"`
	ByName string    `json:"by_name,omitempty"`
	At     time.Time `json:"at"`
}

// NodeRequest names a node.
type NodeRequest struct {
	Node NodeID `json:"node"`
}

// RecoverRequest carries the recovery phrase of the swarm.
type RecoverRequest struct {
	Phrase string `json:"recovery_phrase"`
	// Older is Phrase by its former name, which a program that was not replaced with the other sends, or reads.
	Older string `json:"phrase,omitempty"`
}

// TrustReply tells how a node stands to the swarm now.
type TrustReply struct {
	Member Member `json:"member"`
	// Changed is false where it stood like that before.
	Changed bool `json:"changed"`
}

// Rotation tells which files hold new credentials now.
type Rotation struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
}

// SwarmRotation tells of the swarm after its key was replaced.
type SwarmRotation struct {
	// Swarm has the new id.
	Swarm SwarmInfo `json:"swarm"`
	// Phrase restores the new key: a secret, shown this once.
	Phrase string `json:"recovery_phrase"`
	// Members are those of the swarm, as they stand now.
	Members []Member `json:"members"`
}

// Roster lists every node that is or was in the swarm.
func (c *Conn) Roster(ctx context.Context) (Roster, error) {
	return call[Roster](ctx, c, SubjectRPC(c.NodeID(), VerbNodes), struct{}{})
}

// Promote hands the swarm key to a member, which can then invite, promote and revoke. The member
// must be up. CodeForbidden on a node that does not hold the key, CodeNotFound for a node that is
// no member, CodeUnavailable for one that cannot be reached.
func (c *Conn) Promote(ctx context.Context, node NodeID) (TrustReply, error) {
	return call[TrustReply](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbPromote), NodeRequest{Node: node})
}

// Revoke puts a member out of the swarm, for good. CodeForbidden on a node that does not hold the
// swarm key, CodeNotFound for a node that is no member, CodeInvalid for the node itself.
func (c *Conn) Revoke(ctx context.Context, node NodeID) (TrustReply, error) {
	return call[TrustReply](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbRevoke), NodeRequest{Node: node})
}

// Recover makes the daemon's node a holder of the swarm key by its recovery phrase. CodeInvalid
// for a phrase with a mistake, CodeForbidden for that of another swarm.
func (c *Conn) Recover(ctx context.Context, phrase string) (TrustReply, error) {
	return call[TrustReply](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbRecover), RecoverRequest{Phrase: phrase, Older: phrase})
}

// RotateSwarm replaces the swarm's key. All members stay, and go along as they hear of it; this
// node alone holds the new key. CodeForbidden on a node that does not hold the old one.
func (c *Conn) RotateSwarm(ctx context.Context) (SwarmRotation, error) {
	return call[SwarmRotation](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbRotateSwarm), struct{}{})
}

// Rotate replaces the credentials of this machine's users. The daemon then cuts every connection
// that uses the old ones, this one too: it comes back by itself where it finds the new file.
func (c *Conn) Rotate(ctx context.Context) (Rotation, error) {
	return lastCall[Rotation](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbRotate))
}

// lastCall makes a request whose reply is the last that comes before the daemon cuts the link. The
// reply may be there together with the news of the cut, and then it counts.
func lastCall[T any](ctx context.Context, c *Conn, subject string) (T, error) {
	var reply T
	ctx, cancel := c.within(ctx, rpcLimit)
	defer cancel(nil)
	defer c.pend(subject, cancel)()
	nc, err := c.link(ctx)
	if err != nil {
		return reply, err
	}
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return reply, c.lost(err)
	}
	defer c.leave(sub)
	if err := nc.PublishRequest(subject, sub.Subject, []byte("{}")); err != nil {
		return reply, c.lost(err)
	}
	m, err := sub.NextMsgWithContext(ctx)
	if err != nil && ctx.Err() != nil {
		if late, lateErr := sub.NextMsg(time.Millisecond); lateErr == nil {
			m, err = late, nil
		}
	}
	switch {
	case err != nil:
		return reply, c.requestError(ctx, err)
	case m.Header.Get("Status") == "503" && len(m.Data) == 0:
		return reply, c.requestError(ctx, nats.ErrNoResponders)
	}
	return reply, decode(m, &reply)
}

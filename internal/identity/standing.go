package identity

import (
	"cmp"
	"slices"
	"time"
)

// State is how a node stands to the swarm.
type State string

// The states of a node that was ever let in.
const (
	StateMember  State = "member"
	StateRevoked State = "revoked" // put out for good
	StateLeft    State = "left"    // went by itself
)

// Standing is what the roster says of one node. Of a node that was revoked or has left,
// Holder says that it held the swarm key, which cannot be taken back from it.
type Standing struct {
	Member
	State State
	// Ended is when it was revoked or left, by the clock of whoever signed that; zero for a
	// member.
	Ended time.Time
	// EndedBy is the member that revoked it; empty where a version before this one did.
	EndedBy Fingerprint
}

// Standings lists every node that was ever let in: members by name, and then those that
// are out, in the order in which they went.
func (s *Store) Standings() []Standing { return s.cur.Load().roster.standings() }

func (r roster) standings() []Standing {
	var out []Standing
	for _, e := range r.entries {
		if e.body.Op == opAdd {
			out = append(out, r.standing(e.body))
		}
	}
	slices.SortFunc(out, func(a, b Standing) int {
		return cmp.Or(a.Ended.Compare(b.Ended), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return out
}

// Self is the standing of this node.
func (s *Store) Self() Standing {
	r := s.cur.Load().roster
	add, _ := r.find(opAdd, s.key.fp)
	return r.standing(add)
}

func (r roster) standing(add body) Standing {
	out := Standing{Member: r.member(add), State: StateMember}
	if rev, ok := r.find(opRevoke, add.Node); ok && r.revoked(add.Node) {
		out.State, out.Ended, out.EndedBy = StateRevoked, rev.At, rev.By
	} else if leave, ok := r.find(opLeave, add.Node); ok && !r.isMember(add.Node) {
		out.State, out.Ended, out.EndedBy = StateLeft, leave.At, add.Node
	}
	return out
}

package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

const (
	joinVersion = 1
	joinALPN    = "myco-join/1"
	// exporterLabel binds the proof to one TLS connection (RFC 8446, section 7.5).
	exporterLabel = "EXPORTER-mycoswarm-join-v1"

	maxRequestBytes = 4 << 10
	maxAnswerBytes  = MaxRosterBytes + 64<<10
	maxFabric       = 16

	// joinTimeout bounds each joining connection as a whole, on both sides.
	joinTimeout = 20 * time.Second
)

// joinRequest is the one message of the joiner.
type joinRequest struct {
	Version int    `json:"v"`
	Token   string `json:"token"` // tokenID
	Proof   []byte `json:"proof"`
	Name    string `json:"name"`
	// Member asks where the inviter is, and for its roster, as a member: nothing is used up, and nothing signed.
	Member bool `json:"member,omitempty"`
}

// joinAnswer is the one message of the inviter: a refusal, or the roster.
type joinAnswer struct {
	Version int       `json:"v"`
	Refused refusal   `json:"refused,omitempty"`
	Roster  rosterDoc `json:"roster,omitzero"`
	Fabric  []string  `json:"fabric,omitempty"`
}

// refusal is why a joiner was not let in, on the wire.
type refusal string

const (
	refusedBadToken refusal = "bad_token"
	refusedExpired  refusal = "expired"
	refusedUsed     refusal = "used"
	refusedRevoked  refusal = "revoked"
	refusedStranger refusal = "stranger"
	refusedTooMany  refusal = "too_many"
	refusedFull     refusal = "full"
	refusedRequest  refusal = "bad_request"
	refusedInternal refusal = "internal"
)

// asError gives a refusal the words that the joining person reads.
func (r refusal) asError() error {
	e := map[refusal]*Error{
		refusedBadToken: {Kind: ErrBadToken, Cause: "the inviter does not know this join token"},
		refusedExpired:  {Kind: ErrTokenExpired, Cause: "the join token has expired"},
		refusedUsed:     {Kind: ErrTokenUsed, Cause: "the join token was already used by another node"},
		refusedRevoked: {
			Kind: ErrRevoked, Cause: "this node was put out of the swarm and its key stays out",
			Next: "stop mycod here, move `identity` in its data directory away, and start it as a new node; then run `myco invite` on a member",
		},
		refusedStranger: {
			Kind: ErrNotMember, Cause: "this node is in a swarm, and the token is for one that does not have it as a member",
			Next: "to join that one: run `myco leave`, then `myco join` with the same token",
		},
		refusedTooMany: {
			Kind: ErrTooMany, Cause: "the inviter has seen too many wrong tokens from this address",
			Next: "wait a minute and run `myco join` again",
		},
		refusedFull:    {Kind: ErrTooMany, Cause: "the swarm has no room for another member", Next: "revoke members that are gone"},
		refusedRequest: {Kind: ErrProtocol, Cause: "the inviter does not understand this version", Next: "install the same version of mycod on both"},
		refusedInternal: {
			Kind: ErrProtocol, Cause: "the inviter could not take this node in",
			Next: "look at the log of mycod there, then run `myco join` again with the same token",
		},
	}[r]
	if e == nil {
		return &Error{Kind: ErrProtocol, Cause: "the inviter refused for a reason that this version does not know", Next: nextInvite}
	}
	if e.Next == "" {
		e.Next = nextInvite
	}
	return e
}

// proof shows that the joiner knows the secret, on this connection, for these two
// keys, under this name: no part of it can be used anywhere else. The exporter of
// TLS 1.3 does not cover the client's certificate, so both keys are named.
func proof(cs tls.ConnectionState, secret []byte, inviter, joiner Fingerprint, name string) ([]byte, error) {
	ekm, err := cs.ExportKeyingMaterial(exporterLabel, nil, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("bind proof to connection: %w", err)
	}
	mac := hmac.New(sha256.New, secret)
	for _, part := range [][]byte{[]byte(exporterLabel), ekm, []byte(inviter), []byte(joiner), []byte(name)} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		mac.Write(n[:])
		mac.Write(part)
	}
	return mac.Sum(nil), nil
}

// writeFrame sends v as JSON behind its length in four bytes, big endian.
func writeFrame(w io.Writer, v any, limit int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode join message: %w", err)
	}
	if len(b) > limit {
		return fmt.Errorf("%w: a join message of %d bytes; the limit is %d", ErrProtocol, len(b), limit)
	}
	if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
		return fmt.Errorf("send join message: %w", err)
	}
	return nil
}

// readFrame reads what writeFrame wrote into v. Memory is taken as bytes arrive,
// not as the peer announces them.
func readFrame(r io.Reader, v any, limit int) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("read join message: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(limit) {
		return fmt.Errorf("%w: a join message of %d bytes; the limit is %d", ErrProtocol, n, limit)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return fmt.Errorf("read join message: %w", err)
	}
	if len(b) < int(n) {
		return fmt.Errorf("read join message: %w", io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: read join message: %w", ErrProtocol, err)
	}
	return nil
}

func (r joinRequest) validate() error {
	if r.Version != joinVersion || !isLowerHex(r.Token, 16) || len(r.Proof) != sha256.Size {
		return fmt.Errorf("%w: a join request with version, token or proof out of form", ErrProtocol)
	}
	return checkName(r.Name)
}

// swarm checks an answer as a whole: a valid roster of the swarm that the token
// names, with inviter and joiner in it.
func (a joinAnswer) swarm(t Token, joiner Fingerprint) (roster, []string, error) {
	if a.Version != joinVersion {
		return roster{}, nil, refusedRequest.asError()
	}
	if a.Refused != "" {
		return roster{}, nil, a.Refused.asError()
	}
	r, err := rosterOf(a.Roster)
	if err != nil {
		return roster{}, nil, fmt.Errorf("check the inviter's roster: %w", err)
	}
	if !t.forSwarm(r.id) {
		return roster{}, nil, &Error{Kind: ErrForeign, Cause: "the inviter answered for another swarm than its token names", Next: nextInvite}
	}
	if !r.isMember(joiner) || !r.isMember(t.Inviter) {
		return roster{}, nil, &Error{Kind: ErrProtocol, Cause: "the inviter's roster lacks this node or itself", Next: nextInvite}
	}
	var fabric []string
	for _, addr := range a.Fabric {
		if checkAddr(addr) == nil && len(fabric) < maxFabric {
			fabric = append(fabric, addr)
		}
	}
	return r, fabric, nil
}

// Package identity is the trust of the swarm: a node's key, the roster of members,
// the tokens and the protocol by which a node joins, and the TLS of routes. It owns
// the directory <data-dir>/identity. It does not find other nodes, carry the roster
// between members, or know what a member may do on the bus.
//
// # Keys
//
// A node is its Ed25519 key. The SHA-256 of the key's SubjectPublicKeyInfo is its
// Fingerprint, for machines; "myco-" and the first 12 hex digits are its id, for
// people. A swarm is a second Ed25519 key, made by the founder; its hash is the
// swarm's id. Certificates are self-signed, carry the node key and nothing else that
// counts, and do not expire.
//
// # Roster
//
// The roster is a set of signed records. In each slot (operation, node) the record
// with the highest (epoch, n, content) is kept, so merging is commutative,
// associative and idempotent, and a roster has at most four records a node.
//
//	record  signed by    effect
//	swarm   swarm key    names the swarm
//	add     swarm key    node is a member called name
//	revoke  swarm key    node is out, whatever adds its epoch has: revoke wins
//	leave   the node     undoes the node's adds with n up to its own
//	holder  swarm key    node, added with a lower n, was given the swarm key
//	other   swarm key    kept and passed on, without effect in this version
//
// A node's standing follows from its records alone:
//
//	add  revoke (epoch >= add's)  leave ((epoch, n) >= add's)  standing
//	no   -                        -                            stranger
//	yes  no                       no                           member
//	yes  no                       yes                          left; may join again
//	yes  yes                      -                            revoked; its key stays out
//
// A node that was put out and learns of it trusts nobody but itself from then on.
//
// A leave without an add is not kept: anybody could sign one for a key of no account.
// Every record is of epoch 1: replacing the swarm's key makes another swarm, whose roster
// carries the chain of keys that led to it (succession.go).
//
// # Joining
//
// A token holds the inviter's addresses and key hash, half of the swarm's id, and a
// secret of 128 bits; see Token for its form. The joiner (J) and the inviter (I) speak
// once, over TLS 1.3 with ALPN "myco-join/1", a length of four bytes before each
// JSON message:
//
//	step  who  what
//	1     J    connects; checks I's key against the token before it sends anything
//	2     J    shows its certificate, and so proves its key
//	3     J    sends token id, name, and HMAC-SHA256(secret; TLS exporter, I, J, name)
//	4     I    in one step, on disk: uses up the invitation, signs the add
//	5     I    sends the whole roster and its fabric addresses
//	6     J    checks the roster, and replaces its swarm of one, on disk
//
// The states of an invitation, and what a right proof from a node meets there (a
// wrong proof, like an unknown token, is always "bad token", and counts against its
// source address):
//
//	state    any node                  the node that used it
//	open     member; state is used     -
//	used     "already used"            the roster again while it is a member; no change
//	expired  "expired"                 the roster again while it is a member; no change
//	unknown  "bad token"               "bad token"
//
// A joiner that loses the answer to step 5 asks again with the same token. A node
// that is a member of the token's swarm does not connect at all, unless it has lost sight
// of the inviter: then it asks as a member ("member" in step 3), is told step 5 whatever
// became of the invitation, and takes the roster in. A node in a swarm with other members
// refuses to join another one. Where the inviter is one of these, it asks it as a member first: the
// swarm may be its own under a new key. Who asks so and is no member is told so ("stranger"), and
// the invitation stays open.
//
// # Holders
//
// The founder holds the swarm key. It hands it to whoever it promotes, sealed to a key
// that this node makes for it and signs (handover.go), and the recovery phrase is the same
// key in words. All holders sign alike; a record's "by" says which of them did, by its own
// word. A holder that is revoked is out as anybody else, but the key that it has still
// signs.
//
// # Files
//
// identity/ has mode 0700, files in it 0600, and each is replaced in one step and
// synced to disk before anything depends on it, but for what other members tell of the
// roster, which counts on a full disk too: node.key (PKCS #8, PEM), swarm.json
// (roster, open invitations, and the swarm key where held), and left/<swarm id>.json
// (the state of a swarm that was left while its key was held here).
package identity

package fabric

import (
	"fmt"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// account is the one account that all traffic of the swarm is in, on every node. It is the one that
// the server puts a connection into before it says who it is: at a change of options the server
// cuts whoever it finds in another account than the one that he is to be in.
const account = server.DEFAULT_GLOBAL_ACCOUNT

// newAccount returns the account with its mappings: whoever calls JetStream's API and names no
// domain gets the store of this node, by way of the store's own check of such calls (see package
// store). The server's option for a default domain, JsAccDefaultDomain, knows no check, and is
// lost at the first reload: a reload takes the mappings from the account that it is given, and
// takes them out of it. So every reload gets a new account.
func newAccount(id bus.NodeID) (*server.Account, error) {
	acc := server.NewAccount(account)
	for from, to := range map[string]string{
		"$JS.API.>": bus.SubjectStoreCall(id, ">"),
		"$KV.>":     "$JS." + string(id) + ".API.$KV.>",
		"$OBJ.>":    "$JS." + string(id) + ".API.$OBJ.>",
	} {
		if err := acc.AddMapping(from, to); err != nil {
			return nil, fmt.Errorf("map %s: %w", from, err)
		}
	}
	return acc, nil
}

// Everything below is a list of what is allowed; what is in no list is refused.

// readPeers are the JetStream calls that reading or watching the bucket of peers takes.
func readPeers(id bus.NodeID) []string {
	const s = "KV_" + bus.BucketPeers
	return append(calls(id,
		"STREAM.INFO."+s,
		"STREAM.MSG.GET."+s,
		"DIRECT.GET."+s,
		"DIRECT.GET."+s+".>",
		"CONSUMER.CREATE."+s+".>",
		"CONSUMER.INFO."+s+".*",
		"CONSUMER.DELETE."+s+".*", // a watch deletes its consumer when it ends
	), flowControl(id, s)...)
}

// readAll are the JetStream calls of a user: look at everything, change nothing.
func readAll(id bus.NodeID) []string {
	return append(calls(id,
		"INFO",
		"STREAM.NAMES",
		"STREAM.LIST",
		"STREAM.INFO.*",
		"STREAM.MSG.GET.*",
		"DIRECT.GET.*",
		"DIRECT.GET.*.>",
		"CONSUMER.NAMES.*",
		"CONSUMER.LIST.*",
		"CONSUMER.INFO.*.*",
	), readPeers(id)...)
}

// calls spells calls of JetStream's API as the server sees them, mapped. In no other form, nor
// with a domain, may a client make any.
func calls(id bus.NodeID, calls ...string) []string {
	var out []string
	for _, c := range calls {
		out = append(out, bus.SubjectStoreCall(id, c))
	}
	return out
}

// flowControl is how an ordered consumer answers a stream that asks whether it keeps up.
func flowControl(id bus.NodeID, stream string) []string {
	return []string{"$JS.FC." + stream + ".>", "$JS.FC." + string(id) + ".*." + stream + ".>"}
}

// userGrant: the own daemon's RPC, all metadata, the own outputs, and JetStream to read.
func userGrant(id bus.NodeID) *server.Permissions {
	pub := []string{
		"swarm.rpc." + string(id) + ".>",
		"payload.rpc." + string(id) + ".>",
		bus.SubjectServe(id, ">"),
	}
	inboxes := bus.UserInbox(id)
	if protect.Inboxes.Off() {
		inboxes = bus.UserInbox("*")
	}
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: append(pub, readAll(id)...)},
		Subscribe: &server.SubjectPermission{Allow: []string{
			bus.SubjectAll,
			inboxes + ".>",
			bus.SubjectServe(id, ">"),
			"payload.task." + string(id) + ".>",
		}},
	}
}

// observerGrant: all metadata, and the bucket of peers.
func observerGrant(id bus.NodeID) *server.Permissions {
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: readPeers(id)},
		Subscribe: &server.SubjectPermission{Allow: []string{
			bus.SubjectAll,
			bus.ObserverInbox(id) + ".>",
		}},
	}
}

// leafGrant: the own store listens to whatever its streams capture. What it may say is answers,
// the notes of stored work (the streams' RePublish), and advisories: a client that names some
// other subject as its reply does not get the store to publish there.
func leafGrant(id bus.NodeID) *server.Permissions {
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"_INBOX.>",
			bus.UserInbox(id) + ".>",
			bus.ObserverInbox(id) + ".>",
			"swarm.queue." + string(id) + ".>",
			"$JS.EVENT.>",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{">"}},
	}
}

// keyring holds the credentials made at start. They are in memory only.
type keyring struct {
	daemon, leaf       nkeys.KeyPair
	daemonPub, leafPub string
	leafSeed           string

	spare []clientKeys // see clients.go
}

func newKeyring() (*keyring, error) {
	var k keyring
	for kp, pub := range map[*nkeys.KeyPair]*string{&k.daemon: &k.daemonPub, &k.leaf: &k.leafPub} {
		var err error
		if *kp, err = nkeys.CreateUser(); err != nil {
			return nil, fmt.Errorf("make a credential: %w", err)
		}
		if *pub, err = (*kp).PublicKey(); err != nil {
			return nil, fmt.Errorf("make a credential: %w", err)
		}
	}
	seed, err := k.leaf.Seed()
	if err != nil {
		return nil, fmt.Errorf("make a credential: %w", err)
	}
	k.leafSeed = string(seed)
	k.spare, err = newClientKeys(maxRotations)
	return &k, err
}

// users lists who may connect, and by which kind of connection.
func users(c Config, k *keyring, acc *server.Account) []*server.NkeyUser {
	via := func(t string) map[string]struct{} { return map[string]struct{}{t: {}} }
	return []*server.NkeyUser{
		{Nkey: k.daemonPub, Account: acc, AllowedConnectionTypes: via(jwt.ConnectionTypeInProcess)},
		{Nkey: k.leafPub, Account: acc, AllowedConnectionTypes: via(jwt.ConnectionTypeLeafnode), Permissions: leafGrant(c.ID)},
		{Nkey: c.UserKey, Account: acc, AllowedConnectionTypes: via(jwt.ConnectionTypeStandard), Permissions: userGrant(c.ID)},
		{Nkey: c.ObserverKey, Account: acc, AllowedConnectionTypes: via(jwt.ConnectionTypeStandard), Permissions: observerGrant(c.ID)},
	}
}

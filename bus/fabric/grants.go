package fabric

import (
	"fmt"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
)

// account is the one account that all traffic of the swarm is in, on every node.
const account = "SWARM"

// newAccount returns the account with its mappings. Requests for a consumer of the bucket of
// peers go to the store's own check (see package store), since a consumer may deliver to any
// subject, with the store's rights. The rest is the default domain: a client that names none gets the
// store of its own node. The server's option for that, JsAccDefaultDomain, does the same but is
// lost at the first reload of the options: a reload takes the mappings from the account that it
// is given, and takes them out of it. So every reload gets a new one.
func newAccount(id bus.NodeID) (*server.Account, error) {
	acc := server.NewAccount(account)
	for _, domain := range []string{"", string(id) + "."} { // first: the first that matches is taken
		from := "$JS." + domain + "API.CONSUMER.CREATE.KV_" + bus.BucketPeers + ".>"
		if err := acc.AddMapping(from, bus.SubjectWatchPeers(id, ">")); err != nil {
			return nil, fmt.Errorf("map the watch of peers: %w", err)
		}
	}
	for _, call := range []string{"INFO", "STREAM.>", "CONSUMER.>", "DIRECT.>", "META.>", "SERVER.>", "ACCOUNT.>"} {
		if err := acc.AddMapping("$JS.API."+call, "$JS."+string(id)+".API."+call); err != nil {
			return nil, fmt.Errorf("map the default domain: %w", err)
		}
	}
	for _, view := range []string{"$KV.>", "$OBJ.>"} {
		if err := acc.AddMapping(view, "$JS."+string(id)+".API."+view); err != nil {
			return nil, fmt.Errorf("map the default domain: %w", err)
		}
	}
	return acc, nil
}

// Everything below is a list of what is allowed; what is in no list is refused.

// readPeers are the JetStream calls that reading or watching the bucket of peers takes.
func readPeers(id bus.NodeID) []string {
	const s = "KV_" + bus.BucketPeers
	return append(apiSubjects(id,
		"STREAM.INFO."+s,
		"STREAM.MSG.GET."+s,
		"DIRECT.GET."+s,
		"DIRECT.GET."+s+".>",
		"CONSUMER.CREATE."+s+".>",
		"CONSUMER.INFO."+s+".*",
		"CONSUMER.DELETE."+s+".*", // a watch deletes its consumer when it ends
	), append(flowControl(id, s), bus.SubjectWatchPeers(id, ">"))...)
}

// readAll are the JetStream calls of a user: look at everything, change nothing.
func readAll(id bus.NodeID) []string {
	return append(apiSubjects(id,
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

// apiSubjects spells calls as a plain client sends them, and as they are once the default
// domain is put in: the server checks the latter, and clients that name the domain send it.
func apiSubjects(id bus.NodeID, calls ...string) []string {
	var out []string
	for _, c := range calls {
		out = append(out, "$JS.API."+c, "$JS."+string(id)+".API."+c)
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
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: append(pub, readAll(id)...)},
		Subscribe: &server.SubjectPermission{Allow: []string{
			bus.SubjectAll,
			bus.UserInbox + ".>",
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
			bus.ObserverInbox + ".>",
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
			bus.UserInbox + ".>",
			bus.ObserverInbox + ".>",
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
	return &k, nil
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

package bus

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Status tells of the daemon and of its swarm.
func (c *Conn) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, SubjectRPC(c.NodeID(), VerbStatus), struct{}{})
}

// Ping asks the daemon itself for a sign of life.
func (c *Conn) Ping(ctx context.Context) (PingReply, error) {
	return call[PingReply](ctx, c, SubjectRPC(c.NodeID(), VerbPing), struct{}{})
}

// Probe has the daemon ping a node, named by its id or name, or every node of the swarm where
// it is empty. A node that does not answer is in the list with its Error. CodeNotFound if there
// is no such node.
func (c *Conn) Probe(ctx context.Context, node string) ([]ProbeReply, error) {
	return call[[]ProbeReply](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbProbe), ProbeRequest{Node: node})
}

// Invite makes a token that lets one more node join, once, within ttl; 0 means 15 minutes.
func (c *Conn) Invite(ctx context.Context, ttl time.Duration) (Invitation, error) {
	if ttl < 0 {
		return Invitation{}, Errorf(CodeInvalid, "an invitation for %v: want more than 0", ttl)
	}
	return call[Invitation](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbInvite), InviteRequest{TTL: ttl})
}

// Join takes the daemon into the swarm that the token is of. CodeForbidden if the token is
// wrong, used or expired; CodeConflict if the daemon is in a swarm with others.
func (c *Conn) Join(ctx context.Context, token string) (JoinReply, error) {
	return call[JoinReply](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbJoin), JoinRequest{Token: token})
}

// Leave takes the daemon out of its swarm, into a swarm of one.
func (c *Conn) Leave(ctx context.Context) (JoinReply, error) {
	r, err := call[struct {
		JoinReply
		Older string `json:"phrase"` // what an older daemon calls the recovery phrase
	}](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbLeave), struct{}{})
	r.Phrase = cmp.Or(r.Phrase, r.Older)
	return r.JoinReply, err
}

// Nodes returns the nodes of the swarm as the daemon knows them, by name: the KV bucket "peers".
func (c *Conn) Nodes(ctx context.Context) ([]NodeInfo, error) {
	for nodes, err := range c.WatchNodes(ctx) {
		return nodes, err
	}
	return nil, Errorf(CodeInternal, "the table of nodes ended before it began")
}

// WatchNodes returns the nodes of the swarm, by name, at once and again on every change, until
// the loop is broken or ctx ends.
func (c *Conn) WatchNodes(ctx context.Context) iter.Seq2[[]NodeInfo, error] {
	return func(yield func([]NodeInfo, error) bool) {
		ctx, cancel := c.bound(ctx)
		defer cancel(nil)
		w, err := c.peers(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer c.aside(func() {
			if err := w.Stop(); err != nil {
				c.log.Debug("stop watching the nodes", "error", err)
			}
		})
		table, whole := map[string]NodeInfo{}, false
		for {
			select {
			case <-ctx.Done():
				yield(nil, endOf(ctx))
				return
			case e, open := <-w.Updates():
				switch {
				case !open:
					yield(nil, c.tableError(ctx, nats.ErrConnectionClosed)) // or ctx has ended in the same moment
					return
				case e == nil:
					whole = true
				default:
					merge(table, e)
				}
				if whole && !yield(byName(table), nil) {
					return
				}
			}
		}
	}
}

// peers begins to watch the bucket with the nodes.
func (c *Conn) peers(ctx context.Context) (jetstream.KeyWatcher, error) {
	js, err := jetstream.New(c.nc.Load())
	if err != nil {
		return nil, c.lost(err)
	}
	open, cancel := c.within(ctx, rpcLimit)
	defer cancel(nil)
	kv, err := js.KeyValue(open, BucketPeers)
	if err != nil {
		return nil, c.tableError(open, err)
	}
	for {
		// It takes its context for the whole of the watch, and begins within 5 s or not at all: a daemon on a machine that
		// computes an answer may take longer.
		w, err := kv.WatchAll(ctx)
		switch {
		case err == nil:
			return w, nil
		case !errors.Is(err, context.DeadlineExceeded) || open.Err() != nil:
			return nil, c.tableError(ctx, err)
		}
	}
}

func (c *Conn) tableError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return endOf(ctx)
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded): // its own limit
		return Errorf(CodeTimeout, "the daemon did not tell of the nodes in time: %w", err).WithHint("myco doctor")
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return Errorf(CodeUnavailable, "the daemon has no table of nodes yet: %w", err).WithHint("myco swarm")
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrReconnectBufExceeded):
		return c.lost(err)
	}
	return Errorf(CodeUnavailable, "read the table of nodes: %w", err).WithHint("myco swarm")
}

// merge applies one change of the bucket; a value that is no NodeInfo is as none.
func merge(table map[string]NodeInfo, e jetstream.KeyValueEntry) {
	var n NodeInfo
	if e.Operation() != jetstream.KeyValuePut || Unmarshal(e.Value(), &n) != nil {
		delete(table, e.Key())
		return
	}
	table[e.Key()] = n
}

func byName(table map[string]NodeInfo) []NodeInfo {
	nodes := make([]NodeInfo, 0, len(table))
	for _, n := range table {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b NodeInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return nodes
}

// NodeNamed returns the node that somebody means: by its id, by its name, or by the beginning of an id that no other has,
// with or without "myco-". CodeNotFound where there is none, CodeInvalid where there are several.
func NodeNamed(nodes []NodeInfo, want string) (NodeInfo, error) {
	var found []NodeInfo
	for _, rule := range []func(NodeInfo) bool{
		func(n NodeInfo) bool { return string(n.ID) == want },
		func(n NodeInfo) bool { return n.Name == want },
		func(n NodeInfo) bool {
			return want != "" && (strings.HasPrefix(string(n.ID), want) || strings.HasPrefix(string(n.ID), "myco-"+want))
		},
	} {
		for _, n := range nodes {
			if rule(n) {
				found = append(found, n)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		ids := make([]string, len(found))
		for i, n := range found {
			ids[i] = string(n.ID)
		}
		return NodeInfo{}, Errorf(CodeInvalid, "%d nodes are called %q: %s", len(found), want, strings.Join(ids, ", ")).
			WithHint("name one by its id: %s", ids[0])
	}
	return NodeInfo{}, Errorf(CodeNotFound, "this swarm has no node %q", want).WithHint("myco swarm")
}

// NodeBehind splits a name such as gemma3:1b@tower, where what is behind the last @ is the whole name or id of one of nodes. A model
// may have an @ in its own name, as LM Studio's with a quantization: one that a node has, be it lost, comes first.
func NodeBehind(nodes []NodeInfo, model string) (name, node string, ok bool) {
	i := strings.LastIndexByte(model, '@')
	if i < 1 {
		return "", "", false
	}
	name = model[:i]
	node = strings.TrimSuffix(model[i+1:], ":latest") // which clients of Ollama put behind a name without a tag; no node's has a colon
	for _, n := range nodes {
		for _, m := range slices.Concat(n.Models, n.Embedders) {
			if strings.EqualFold(CanonicalModel(m.Name), CanonicalModel(model)) {
				return "", "", false
			}
		}
		ok = ok || n.Name == node || string(n.ID) == node
	}
	return name, node, ok
}

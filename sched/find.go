package sched

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Task tells what the swarm knows of a task.
func (n *Node) Task(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	f, err := n.find(ctx, id)
	if err != nil {
		return f.Info, err
	}
	f.warn(n.Nodes(), n.cfg.ID)
	if !f.Info.State.Terminal() && f.Info.Warning == "" {
		f.Info.Warning = cmp.Or(n.failedSoFar(id), givenBack(f.last))
	}
	return f.Info, nil
}

// givenBack tells of a task that waits again why it does.
func givenBack(why string) string {
	if why == "" {
		return ""
	}
	return "it was given back: " + why
}

// warn says of a task that waits what it waits for, where none of nodes can run it, as self sees them.
func (f *found) warn(nodes []bus.NodeInfo, self bus.NodeID) {
	if f.Info.State != bus.StateQueued || f.Info.Warning != "" {
		return
	}
	if !canRunFor(f.Key, nodes, f.Info.Submitter) {
		f.Info.Warning = waitsFor(f.Key, nodes, self, f.Info.Submitter)
		if f.last != "" {
			f.Info.Warning += "; last: " + f.last
		}
	}
}

// find asks every node what it knows of a task; what is furthest in its life counts.
func (n *Node) find(ctx context.Context, id bus.TaskID) (found, error) {
	var all gathered
	var at *position
	held := ""
	err := n.askAll(ctx, findMsg{ID: id}, func(r findReply) {
		all.add(r)
		held = cmp.Or(held, r.Held)
		if r.Place != nil {
			at = r.Place
		}
	})
	if err != nil {
		return found{}, err
	}
	f, ok := all.found[id]
	if !ok {
		return found{}, n.errUnknown(id)
	}
	switch {
	case f.Info.State != bus.StateQueued:
	case held != "": // it waits for a node, and not for others in the queue
		f.Info.Warning = held
	case at != nil:
		f.Info.Position, f.Info.Wait, f.last = at.Position, time.Duration(at.WaitMS)*time.Millisecond, at.Last
	}
	return f, nil
}

// errUnknown says that nobody knows a task, and who may and is not heard at present.
func (n *Node) errUnknown(id bus.TaskID) *bus.Error {
	var away []string
	for _, p := range n.Nodes() {
		if !p.State.Live() {
			away = append(away, p.Name)
		}
	}
	if len(away) == 0 {
		return bus.Errorf(bus.CodeNotFound, "no node of the swarm knows task %s", id).WithHint("myco task ls")
	}
	return bus.Errorf(bus.CodeNotFound, "no node of the swarm knows task %s, of those that are heard; not heard, and may know it: %s", id, strings.Join(away, ", ")).
		WithHint("myco swarm")
}

// Tasks lists the tasks that the swarm knows, newest first, without their results.
func (n *Node) Tasks(ctx context.Context) ([]bus.TaskInfo, error) {
	var all gathered
	if err := n.askAll(ctx, findMsg{}, all.add); err != nil {
		return nil, err
	}
	out := make([]bus.TaskInfo, 0, len(all.found))
	nodes := n.Nodes()
	for _, f := range all.found {
		f.warn(nodes, n.cfg.ID)
		f.Info.Result, f.Info.ResultBlob = nil, nil
		out = append(out, f.Info)
	}
	slices.SortStableFunc(out, func(a, b bus.TaskInfo) int { return b.Submitted.Compare(a.Submitted) })
	return out, nil
}

// gathered is what the nodes know of tasks: of each what is furthest in its life.
type gathered struct {
	found map[bus.TaskID]found
	from  map[bus.TaskID]bus.NodeID
}

func (g *gathered) add(r findReply) {
	if g.found == nil {
		g.found, g.from = map[bus.TaskID]found{}, map[bus.TaskID]bus.NodeID{}
	}
	for _, f := range r.Found {
		id := f.Info.ID
		if old, ok := g.found[id]; !ok || later(f, r.Node, old, g.from[id]) {
			g.found[id], g.from[id] = f, r.Node
		}
	}
}

// eachFound asks every node what it knows of a task.
func (n *Node) eachFound(ctx context.Context, id bus.TaskID, each func(f found, at bus.NodeID)) error {
	return n.askAll(ctx, findMsg{ID: id}, func(r findReply) {
		for _, f := range r.Found {
			each(f, r.Node)
		}
	})
}

// askAll asks every node a question, and calls each with the answers that come in time.
func (n *Node) askAll(ctx context.Context, q findMsg, each func(findReply)) error {
	ctx, cancel := context.WithTimeout(ctx, syncWithin)
	defer cancel()
	missing := n.askable()
	missing[n.cfg.ID] = true
	err := n.hearFrom(ctx, missing, Msg{Subject: bus.SubjectFind, Data: marshal(q)}, func(data []byte) (last bus.NodeID, enough bool) {
		var r findReply
		if bus.Unmarshal(data, &r) != nil {
			return "", false
		}
		if each(r); r.More {
			return "", false
		}
		return r.Node, false
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // what was heard is the answer
	}
	return err
}

// later reports whether a, as node atA tells it, tells more than b: an end more than a run, and a run
// more than a place in a queue. Of two ends the submitter's counts; where it is not there, all nodes
// choose the same.
func later(a found, atA bus.NodeID, b found, atB bus.NodeID) bool {
	rank := func(f found) int {
		switch {
		case f.Info.State.Terminal():
			return 2
		case f.Info.State == bus.StateRunning:
			return 1
		}
		return 0
	}
	if x, y := rank(a), rank(b); x != y {
		return x > y
	}
	if x, y := atA == a.Info.Submitter, atB == b.Info.Submitter; x != y {
		return x
	}
	if x, y := a.Info.State == bus.StateDone, b.Info.State == bus.StateDone; x != y {
		return x
	}
	if a.Info.Attempts != b.Info.Attempts {
		return a.Info.Attempts < b.Info.Attempts
	}
	return a.Info.NodeID < b.Info.NodeID
}

func (f found) job() Job {
	t := bus.Task{ID: f.Info.ID, Type: f.Key.Class, Model: f.Info.Model, Node: f.Key.Pin, Lane: f.Key.Lane, Priority: f.Key.Priority}
	return Job{Task: t, Submitter: f.Info.Submitter, Custodian: f.Custodian, Accepted: f.Info.Submitted, Attempts: f.Info.Attempts}
}

// onFind answers find.
func (o *outbox) onFind(m Msg) {
	var q findMsg
	if bus.Unmarshal(m.Data, &q) != nil || m.Reply == "" {
		return
	}
	r := findReply{Node: o.n.cfg.ID, Found: o.whole(o.known(q.ID), q.ID)}
	if q.ID != "" {
		r.Held = o.n.members.heldBack(q.ID)
	}
	if q.Why {
		ws := append(o.n.whyHere(q.ID), nil, nil)
		r.Why, r.Decided = ws[0], ws[1]
	} else if h := o.n.host(); h != nil && q.ID != "" {
		r.Place = h.positionOf(q.ID)
	}
	for all := r.Found; ; {
		r.Found, all = pieceOf(all)
		r.More = len(all) > 0
		if err := o.n.fx.Publish(Msg{Subject: m.Reply, Data: marshal(r)}); err != nil {
			o.n.log.Debug("answer a question for a task", "err", err)
		}
		if !r.More {
			return
		}
	}
}

// findPiece is how many bytes of tasks are in one answer, unless one alone has more: errors may be long.
const findPiece = 512 << 10

// pieceOf returns those of all that fit into one message, and the rest.
func pieceOf(all []found) (piece, rest []found) {
	size := 0
	for i := range all {
		if size += len(marshal(all[i])); size > findPiece && i > 0 {
			return all[:i], all[i:]
		}
	}
	return all, nil
}

// whole fills in the result of task id, where it is on the disk alone. Who cannot read it does not tell of the task: who
// else keeps it does.
func (o *outbox) whole(known []found, id bus.TaskID) []found {
	for i := range known {
		t := &known[i].Info
		if id == "" || !t.State.Terminal() || t.Result != nil {
			continue
		}
		f, ok, err := o.endOf(id)
		if err != nil || !ok {
			return nil
		}
		t.Result = f.Result
	}
	return known
}

// known returns what this node knows of a task, or where id is empty of all, bus.MaxListed at most.
func (o *outbox) known(id bus.TaskID) []found {
	ids := []bus.TaskID{id}
	if id == "" {
		ids = o.listed()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []found
	for _, i := range ids {
		f, ok := o.find(i)
		if !ok {
			continue
		}
		if id == "" {
			f.Info.Result, f.Info.ResultBlob = nil, nil
		} else if k := o.kept[i]; k != nil && k.sum != (contentSum{}) {
			f.Sum = k.sum.String()
		}
		out = append(out, f)
	}
	return out
}

// find returns what this node knows of a task. The caller holds mu.
func (o *outbox) find(id bus.TaskID) (found, bool) {
	var j *Job
	var end *Final
	stores := 0
	if e := o.entries[id]; e != nil {
		j, stores = &e.job, e.stores
	} else if k := o.kept[id]; k != nil {
		j, end = &k.job, k.final
	} else if e, ok := o.ended.get(id); ok {
		j, end = &e.job, &e.final
	} else {
		return found{}, false
	}
	state := bus.StateQueued
	if end != nil {
		state = end.State
	}
	i := j.info(state, end)
	if i.Copies = stores; end == nil {
		i.Attempts = o.attempts(j)
		if at, ok := o.runningAt(id); ok {
			i.State, i.NodeID = bus.StateRunning, at
		}
	}
	return found{Info: i, Custodian: j.Custodian, Key: j.key(), Unrun: end != nil && end.Unrun}, true
}

// listable is a task that may be listed: the lowest rank first, and then the latest.
type listable struct {
	id   bus.TaskID
	rank int   // 0 for an open one, 1 for a dead one, 3 for a part of something larger
	at   int64 // when it was submitted
}

func (a listable) compare(b listable) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.at, a.at))
}

// listables is a heap of the first of many, with the last of these on top.
type listables []listable

func (l listables) Len() int           { return len(l) }
func (l listables) Less(i, j int) bool { return l[i].compare(l[j]) > 0 }
func (l listables) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *listables) Push(x any)        { *l = append(*l, x.(listable)) }
func (l *listables) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// listed returns the tasks that a list names: all, or of more than bus.MaxListed those that matter most.
func (o *outbox) listed() []bus.TaskID {
	var first listables
	add := func(j *Job, end *Final) {
		l := listable{j.Task.ID, 2, j.Accepted.UnixNano()}
		if end == nil {
			l.rank = 0
		} else if end.State == bus.StateDead {
			l.rank = 1
		} else if j.Task.Part {
			l.rank = 3
		}
		if len(first) < bus.MaxListed {
			heap.Push(&first, l)
		} else if l.compare(first[0]) < 0 {
			first[0] = l
			heap.Fix(&first, 0)
		}
	}
	o.mu.Lock()
	for _, e := range o.entries {
		add(&e.job, nil)
	}
	for id, k := range o.kept {
		if o.entries[id] == nil {
			add(&k.job, k.final)
		}
	}
	for _, e := range o.ended.by {
		add(&e.v.job, &e.v.final)
	}
	o.mu.Unlock()
	ids := make([]bus.TaskID, len(first))
	for i, l := range first {
		ids[i] = l.id
	}
	return ids
}

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const third = bus.NodeID("myco-cccccccccccc")

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func members() []bus.Member {
	return []bus.Member{
		{ID: self, Name: "laptop", State: bus.NodeSuspect, Since: noon, AddedBy: other},
		{ID: other, Name: "tower", State: bus.NodeReady, Since: noon, AddedBy: other, Holder: true},
		{
			ID: third, Name: "stolen", State: bus.NodeRevoked, Since: noon, AddedBy: other, Holder: true,
			Ended: noon.Add(24 * time.Hour), EndedBy: other,
		},
		{ID: "myco-dddddddddddd", Name: "guest", State: bus.NodeLeft, Since: noon, Ended: noon.Add(48 * time.Hour)},
		{ID: "myco-eeeeeeeeeeee", Name: "tower", State: bus.NodeLeft, Since: noon, Ended: noon.Add(48 * time.Hour)},
	}
}

// trusting is a daemon that knows the members, and answers as they stand.
func trusting(t *testing.T) *daemon {
	t.Helper()
	d := setup(t)
	on(d, bus.SubjectRPC(self, bus.VerbNodes), func(struct{}) any {
		return bus.Roster{Swarm: bus.SwarmInfo{ID: "s1", Name: "home", QueueHost: other, Term: 3}, Here: self, Members: members()}
	})
	find := func(id bus.NodeID) (bus.Member, *bus.Error) {
		for _, m := range members() {
			if m.ID == id {
				return m, nil
			}
		}
		return bus.Member{}, bus.Errorf(bus.CodeNotFound, "no node %q", id)
	}
	on(d, payload(bus.VerbPromote), func(r bus.NodeRequest) any {
		m, err := find(r.Node)
		if err != nil {
			return err
		}
		was := m.Holder
		m.Holder = true
		return bus.TrustReply{Member: m, Changed: !was}
	})
	on(d, payload(bus.VerbRevoke), func(r bus.NodeRequest) any {
		m, err := find(r.Node)
		switch {
		case err != nil:
			return err
		case m.ID == self:
			return bus.Errorf(bus.CodeInvalid, "a node cannot revoke itself").WithHint("myco leave")
		}
		was := m.State
		m.State = bus.NodeRevoked
		return bus.TrustReply{Member: m, Changed: was != bus.NodeRevoked}
	})
	return d
}

func TestNodes(t *testing.T) {
	t.Parallel()
	d := trusting(t)
	golden(t, "nodes.golden", d.myco("nodes").want(t, 0, "stolen is out, and had the swarm's key").out)
	golden(t, "nodes_json.golden", d.myco("nodes", "--json").want(t, 0).out)
	if bare, ls := d.myco("nodes"), d.myco("nodes", "ls"); bare != ls {
		t.Errorf("nodes ls printed %q, nodes %q", ls.out, bare.out)
	}
}

func TestPromote(t *testing.T) {
	t.Parallel()
	d := trusting(t)
	if o := d.myco("nodes", "promote", "laptop").want(t, 0); o.out != "laptop now holds the swarm's key: it can invite, promote and revoke\n" {
		t.Errorf("promote printed %q", o.out)
	}
	// Two had that name; one is still there.
	if o := d.myco("nodes", "promote", "tower").want(t, 0); o.out != "tower holds the swarm's key already\n" {
		t.Errorf("promote of a holder printed %q", o.out)
	}
	golden(t, "promote_json.golden", d.myco("nodes", "promote", string(self), "--json").want(t, 0).out)
	d.myco("nodes", "promote", "nobody").want(t, 3, "nobody", "try: myco nodes")
	d.myco("nodes", "promote").want(t, 2, "<node>", "try: myco nodes promote --help")
	d.myco("promote", "tower").want(t, 2, "unexpected argument promote", "try: myco nodes promote --help\n")
	d.myco("show", "t1").want(t, 2, "unexpected argument show", "try: myco task show --help, or: myco dead show --help\n")
	d.myco("frobnicate").want(t, 2, "unexpected argument frobnicate", "try: myco --help\n")
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	d := trusting(t)
	for _, command := range []string{"revoke", "nodes revoke"} {
		args := strings.Fields(command)
		o := d.myco(append(args, "--yes", "myco-ba")...).want(t, 0, "Members that are away", "It had the swarm's key")
		if o.out != "tower (myco-ba9876543210) is out of the swarm\n" {
			t.Errorf("%s printed %q", command, o.out)
		}
		d.myco(append(args, "--yes", "laptop")...).want(t, 2, "cannot revoke itself", "try: myco leave")
		d.myco(append(args, "--yes", "nobody")...).want(t, 3, "nobody", "try: myco nodes")
		d.myco(append(args, "--yes", "myco-")...).want(t, 2, "2 nodes", "myco revoke ID")
	}
	if o := d.myco("revoke", "stolen", "--yes").want(t, 0); o.out != "stolen was put out before\n" {
		t.Errorf("revoke again printed %q", o.out)
	}
	golden(t, "revoke_json.golden", d.myco("revoke", "tower", "-y", "--json").want(t, 0).out)

	for answer, code := range map[string]int{"y\n": 0, "YES": 0, "\n": 1, "no\n": 1, "": 1} {
		var out, errs bytes.Buffer
		got := run(t.Context(), []string{"--data-dir", d.dir, "revoke", "tower"},
			streams{in: strings.NewReader(answer), out: &out, err: &errs, interactive: true})
		outcome{got, out.String(), errs.String()}.want(t, code, "Put tower (myco-ba9876543210) out")
		if (code == 0) != strings.Contains(out.String(), "is out") {
			t.Errorf("answer %q: %q", answer, out.String())
		}
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	d := trusting(t)
	on(d, payload(bus.VerbRecover), func(r bus.RecoverRequest) any {
		if strings.TrimSpace(r.Phrase) != "aaaa-bbbb" {
			return bus.Errorf(bus.CodeInvalid, "the recovery phrase has a typing mistake").WithHint("type it again")
		}
		m := members()[0]
		m.Holder = true
		return bus.TrustReply{Member: m, Changed: true}
	})
	path := filepath.Join(t.TempDir(), "phrase")
	writeFile(t, path, "aaaa-bbbb\n")
	want := "this node now holds the swarm's key: it can invite, promote and revoke\n"
	for _, o := range []outcome{
		d.mycoIn(t.Context(), "aaaa-bbbb\n", "nodes", "recover"),
		d.mycoIn(t.Context(), "aaaa-bbbb", "nodes", "recover", "-"),
		d.myco("nodes", "recover", "@"+path),
	} {
		if o.want(t, 0); o.out != want {
			t.Errorf("recover printed %q", o.out)
		}
	}
	golden(t, "recover_json.golden", d.myco("nodes", "recover", "--json", "@"+path).want(t, 0).out)
	d.mycoIn(t.Context(), "nonsense", "nodes", "recover").want(t, 2, "typing mistake", "try: type it again")
	d.myco("nodes", "recover").want(t, 2, "no recovery phrase", "try: myco nodes recover")
	d.myco("nodes", "recover", "@"+path+"x").want(t, 1, path+"x", "try: myco nodes recover")
	if o := d.myco("nodes", "recover", "aaaa-bbbb").want(t, 2, "no argument"); strings.Contains(o.err, "aaaa") {
		t.Errorf("the phrase is printed: %s", o.err)
	}
	d.mycoIn(t.Context(), strings.Repeat("a", 5000), "nodes", "recover").want(t, 2, "no recovery phrase")
}

func TestRotate(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbRotate), func(struct{}) any {
		return bus.Rotation{Dir: "there", Files: []string{bus.UserCreds, bus.HTTPKeyFile}}
	})
	if o := d.myco("rotate").want(t, 0, "come back by themselves"); o.out != "new credentials are in there: user.nk, http.key\n" {
		t.Errorf("rotate printed %q", o.out)
	}
	if o := d.myco("rotate", "--json").want(t, 0); o.out != `{"dir":"there","files":["user.nk","http.key"]}`+"\n" {
		t.Errorf("rotate --json printed %q", o.out)
	}
}

func TestRotateSwarm(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbRotateSwarm), func(struct{}) any {
		away := members()
		away[1].State = bus.NodeLost
		return bus.SwarmRotation{Swarm: bus.SwarmInfo{ID: "s2", Name: "home"}, Phrase: "aaaa-bbbb", Members: away[:2]}
	})
	golden(t, "rotate_swarm.golden", d.myco("rotate", "--swarm", "--yes").want(t, 0, "myco nodes promote", "told when back: tower").out)
	golden(t, "rotate_swarm_json.golden", d.myco("rotate", "--swarm", "-y", "--json").want(t, 0).out)
	for answer, code := range map[string]int{"y\n": 0, "no\n": 1, "": 1} {
		var out, errs bytes.Buffer
		got := run(t.Context(), []string{"--data-dir", d.dir, "rotate", "--swarm"},
			streams{in: strings.NewReader(answer), out: &out, err: &errs, interactive: true})
		outcome{got, out.String(), errs.String()}.want(t, code, "Replace the swarm's key?")
	}
}

// A node that was put out while it was away knows only that it is refused.
func TestSwarmTellsARefusedNode(t *testing.T) {
	t.Parallel()
	a := &app{streams: streams{err: &bytes.Buffer{}}}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		a.view = newView(&out, nil, asJSON)
		a.swarm(bus.Status{Node: nodes[0], RefusedBy: []string{"tower", "attic"}}, nodes[:1])
		want := "This node is alone: tower and attic will not have it"
		if asJSON {
			want = `"refused_by":["tower","attic"]`
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nwant it to say %s", out.String(), want)
		}
	}
}

// A node that was put out is told so first.
func TestSwarmTellsARevokedNode(t *testing.T) {
	t.Parallel()
	a := &app{streams: streams{err: &bytes.Buffer{}}}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		a.view = newView(&out, nil, asJSON)
		a.swarm(bus.Status{
			Node: nodes[0], Swarm: bus.SwarmInfo{ID: "s1", Name: "home"},
			Revoked: &bus.Revocation{By: other, ByName: "tower", At: noon},
		}, nodes[:1])
		want := "This node was put out of the swarm home by tower on 2030-01-02, and is alone. For a swarm of its own: myco leave\n"
		if asJSON {
			want = `"revoked":{"by":"myco-ba9876543210","by_name":"tower","at":"2030-01-02T12:00:00Z"}`
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nwant it to say %s", out.String(), want)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestSwarm(t *testing.T) {
	t.Parallel()
	d := setup(t)
	golden(t, "swarm.golden", d.myco("swarm").want(t, 0, "nearby: foreign").out)
	golden(t, "swarm_json.golden", d.myco("swarm", "--json").want(t, 0).out)
}

// What is shown again and again is not shown for ever where it cannot be written.
func TestWatchToAFullDisk(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for _, command := range []string{"swarm", "top"} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		var errs strings.Builder
		code := run(ctx, []string{"--data-dir", d.dir, command, "--watch"}, streams{in: strings.NewReader(""), out: full{}, err: &errs})
		if code != 1 || !strings.Contains(errs.String(), "myco: write the result: no space left") {
			t.Errorf("%s: exit code %d, %q", command, code, errs.String())
		}
	}
}

func TestSwarmWatchTellsChanges(t *testing.T) {
	t.Parallel()
	d := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"--data-dir", d.dir, "swarm", "--watch", "--json"}, streams{in: strings.NewReader(""), out: w, err: io.Discard})
		_ = w.Close() // it never fails
	}()
	lines := json.NewDecoder(r)
	var v swarmView
	must(t, lines.Decode(&v))
	if len(v.Nodes) != 2 || v.Swarm.Term != 3 {
		t.Errorf("%+v, want two nodes in term 3", v)
	}
	must(t, d.nc.Publish("$KV.peers."+string(other), []byte(`{"id":"myco-ba9876543210","name":"tower","state":"lost"}`)))
	must(t, lines.Decode(&v))
	if len(v.Nodes) != 2 || v.Nodes[1].State != bus.NodeLost {
		t.Errorf("%+v, want tower lost", v)
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, r) }() // the last error
	if got := <-code; got != 130 {
		t.Errorf("exit code %d after an interrupt, want 130", got)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbProbe), func(r bus.ProbeRequest) any {
		replies := []bus.ProbeReply{{NodeID: self, Name: "laptop", RTTMS: 0.031}, {NodeID: other, Name: "tower", Error: "no answer in 1s"}}
		switch r.Node {
		case string(other):
			return replies[1:]
		case string(self):
			return replies[:1]
		}
		return replies
	})
	golden(t, "ping.golden", d.myco("ping").want(t, 0).out)
	golden(t, "ping_json.golden", d.myco("ping", "--json").want(t, 0).out)
	if got := d.myco("ping", "laptop", "--json").want(t, 0).out; got != `[{"node_id":"myco-0123456789ab","name":"laptop","rtt_ms":0.031}]`+"\n" {
		t.Errorf("ping laptop printed %s", got)
	}
	d.myco("ping", "tower").want(t, 5, "tower", "no answer in 1s", "try: myco swarm")
	d.myco("ping", "nobody").want(t, 3, "nobody")
}

func TestMembership(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbInvite), func(r bus.InviteRequest) any {
		return bus.Invitation{Token: "mycoTOKEN", ExpiresAt: time.Unix(0, 0).Add(r.TTL).UTC()}
	})
	on(d, payload(bus.VerbJoin), func(r bus.JoinRequest) any {
		if r.Token == "mycoUSED" {
			return bus.Errorf(bus.CodeForbidden, "this token is used up").WithHint("myco invite")
		}
		return bus.JoinReply{Swarm: bus.SwarmInfo{ID: "s2", Name: "work"}, Changed: r.Token == "mycoNEW"}
	})
	var alone atomic.Bool
	on(d, payload(bus.VerbLeave), func(struct{}) any {
		if alone.Load() {
			return bus.JoinReply{Swarm: bus.SwarmInfo{ID: "s3", Name: "laptop"}}
		}
		return bus.JoinReply{Swarm: bus.SwarmInfo{ID: "s3", Name: "laptop"}, Changed: true, Phrase: "abcd-efgh"}
	})

	if o := d.myco("invite").want(t, 0, "mycod --join mycoTOKEN", "runs already, there: myco join, with"); o.out != "mycoTOKEN\n" {
		t.Errorf("invite printed %q", o.out)
	}
	if o := d.myco("invite", "--ttl", "1m", "--json").want(t, 0); o.out != `{"token":"mycoTOKEN","expires_at":"1970-01-01T00:01:00Z"}`+"\n" {
		t.Errorf("invite printed %q", o.out)
	}
	if o := d.myco("join", "mycoNEW").want(t, 0); o.out != "joined the swarm work (s2)\n" {
		t.Errorf("join printed %q", o.out)
	}
	if o := d.mycoIn(t.Context(), " mycoOLD\n", "join", "-").want(t, 0); o.out != "already in the swarm work (s2)\n" {
		t.Errorf("join printed %q", o.out)
	}
	d.myco("join", "mycoUSED").want(t, 1, "used up", "try: myco invite")
	o := d.myco("leave", "--yes").want(t, 0, "mycod shows the phrase at its next start too", "To join another swarm")
	if !strings.HasPrefix(o.out, "left; this node is now alone in the swarm laptop (s3)\n") || !strings.Contains(o.out, "recovery phrase:\n  abcd-efgh\n") {
		t.Errorf("leave printed %q", o.out)
	}
	golden(t, "leave_json.golden", d.myco("leave", "-y", "--json").want(t, 0).out)

	for answer, code := range map[string]int{"y\n": 0, "YES": 0, "\n": 1, "no\n": 1, "": 1} {
		var out, errs bytes.Buffer
		got := run(t.Context(), []string{"--data-dir", d.dir, "leave"}, streams{in: strings.NewReader(answer), out: &out, err: &errs, interactive: true})
		outcome{got, out.String(), errs.String()}.want(t, code, "Leave the swarm?")
	}
	alone.Store(true)
	if o := d.myco("leave", "--yes").want(t, 0, "To join another swarm"); o.out != "nothing to leave; this node is alone already, in the swarm laptop (s3)\n" {
		t.Errorf("leave printed %q", o.out)
	}
}

func TestReadTokenFromAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	writeFile(t, path, "mycoX\n")
	got, err := readToken(t.Context(), "@"+path, nil)
	must(t, err)
	if got != "mycoX" {
		t.Errorf("token %q, want mycoX", got)
	}
	if _, err := readToken(t.Context(), "@"+filepath.Dir(path), nil); err == nil {
		t.Error("a directory is taken for a token")
	}
}

package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// skewLimit is how much clocks may differ before it is a warning. Nothing depends on it.
const skewLimit = 5 * time.Second

// mdnsPatience is how long after a start others may be unheard.
const mdnsPatience = 10 * time.Second

func identity(d bus.Diagnosis) Check {
	switch {
	case d.Revoked:
		return Check{
			"identity", Fail, fmt.Sprintf("this node was put out of the swarm %s: no member lets it in", d.Swarm.Name),
			"for another swarm: myco leave, then myco join TOKEN; for this one it has to be a new node: stop mycod, move " + filepath.Join(d.DataDir, "identity") + " away, start it, then myco join TOKEN",
		}
	case len(d.Twins) > 0:
		t := d.Twins[0]
		var at []string
		for _, i := range t.Seen {
			at = append(at, i.String())
		}
		return Check{
			"identity", Fail, fmt.Sprintf("two daemons have the identity of %s: %s. They run from copies of one data directory", t.Node, strings.Join(at, " and ")),
			"stop the one that is the copy, and start it with a data directory of its own: mycod --data-dir NEWDIR --join TOKEN",
		}
	}
	return Check{"identity", OK, "no other daemon was heard with an identity that is in use", ""}
}

// peers judges the ways to the other members of the roster.
func peers(d bus.Diagnosis) []Check {
	if len(d.Peers) == 0 {
		return []Check{{"route", OK, "this node is alone in its swarm", ""}}
	}
	var out []Check
	var up []string
	for _, p := range d.Peers {
		switch {
		case p.Routed && p.State == bus.NodeSuspect:
			out = append(out, Check{
				"route", Warn, fmt.Sprintf("%s is heard late: it, or the way to it, is slow at the moment", who(p.Name, p.NodeID)),
				"run myco doctor again; if it stays so, look at the load there and at the network",
			})
		case p.Routed && p.State != bus.NodeLost:
			up = append(up, p.Name)
		case p.Routed:
			out = append(out, Check{
				"route", Fail, fmt.Sprintf("%s has a route, and is not heard: its daemon hangs, or the network loses what it sends", who(p.Name, p.NodeID)),
				"look at the log of mycod there",
			})
		case p.Left:
			out = append(out, Check{"route", Warn, fmt.Sprintf("%s is away: it stopped in good order", who(p.Name, p.NodeID)), "start mycod there; if it runs, run myco doctor there"})
		default:
			out = append(out, unrouted(p, d.OS))
		}
	}
	if len(up) > 0 {
		out = append([]Check{{"route", OK, fmt.Sprintf("%s: %s", count(len(up), "route"), some(up)), ""}}, out...)
	}
	return out
}

// unrouted names the hop that is broken.
func unrouted(p bus.PeerDiagnosis, system string) Check {
	c := Check{Name: "route", Status: Fail}
	if len(p.Dials) == 0 {
		c.Detail = fmt.Sprintf("no route to %s, and no address of it is known", who(p.Name, p.NodeID))
		c.Hint = "start mycod there; where mDNS does not reach, name its address here: mycod --peer HOST:7422; " + forGood(p)
		return c
	}
	var tried []string
	for _, x := range p.Dials {
		tried = append(tried, x.Addr+": "+dialed(x))
	}
	c.Detail = fmt.Sprintf("no route to %s; tried %s", who(p.Name, p.NodeID), strings.Join(tried, "; "))
	c.Hint = advice(p.Dials, system)
	if !slices.ContainsFunc(p.Dials, func(x bus.DialDiagnosis) bool { return x.Result != bus.DialTimeout && x.Result != bus.DialNoWay }) {
		c.Hint += "; " + forGood(p)
	}
	if len(p.HeardBy) > 0 {
		c.Detail += fmt.Sprintf(". It is up: %s", hears(p.HeardBy))
		c.Hint = apart
	}
	return c
}

// forGood is what to do about a machine that does not come back.
func forGood(p bus.PeerDiagnosis) string {
	return "if it is gone for good: myco revoke " + string(p.NodeID)
}

// apart is what to do where two nodes live and do not reach each other: routes relay nothing.
const apart = "let the firewall on each pass the other's port for routes, and switch off client isolation where an access point is between them"

// hears is "attic hears it".
func hears(by []string) string {
	if len(by) == 1 {
		return by[0] + " hears it"
	}
	return some(by) + " hear it"
}

// dialed says what a dial led to.
func dialed(x bus.DialDiagnosis) string {
	switch x.Result {
	case bus.DialOK:
		return "the dial works now; the route is made in a moment"
	case bus.DialRefused:
		return "connection refused: the machine is up, and nothing listens there"
	case bus.DialTimeout:
		return "timed out: the machine is away, or a firewall drops the packets"
	case bus.DialMute:
		return "it takes connections, and then nothing comes: its daemon hangs, or the network loses large packets"
	case bus.DialNoWay:
		return "unreachable: " + x.Error
	case bus.DialNotMycod:
		return "what listens there is not mycod"
	case bus.DialStranger:
		return "TLS refused: " + stranger(x)
	case bus.DialTurned:
		return fmt.Sprintf("TLS refused by %s: this node's key is not in its roster", x.Node)
	case bus.DialOther:
		return fmt.Sprintf("another member, %s, answers there", x.Node)
	case bus.DialSelf:
		return "this is the node itself"
	case bus.DialTwin:
		return "another daemon with this node's own identity answers there"
	}
	return x.Error
}

func stranger(x bus.DialDiagnosis) string {
	s := fmt.Sprintf("wrong swarm: the key of %s is not in this swarm's roster", x.Node)
	if x.Swarm != "" {
		s += fmt.Sprintf("; it is in the swarm %s", x.Swarm)
	}
	return s
}

// moved is what to do where a node is not where it was, and multicast does not tell where it is.
const moved = "if its address has changed, and mDNS does not reach, name the new one here: mycod --peer HOST:7422"

// allowed is what a Mac wants beside it: since macOS 15 a program that was not allowed to has no way to the
// machines around it, and hears none of them (Apple's TN3179).
const allowed = "; on this Mac, start mycod in Terminal or as a daemon of launchd (docs/install.md, On a Mac), or allow it in System Settings > Privacy & Security > Local Network"

// advice is what helps a node on this operating system, one of GOOS, against the failure that tells most.
func advice(dials []bus.DialDiagnosis, system string) string {
	noWay := "check that this machine and that one are on one network; " + moved
	if system == "darwin" {
		noWay += allowed
	}
	hints := []struct {
		of   bus.DialResult
		hint string
	}{
		{bus.DialOK, "run myco doctor again"},
		{bus.DialTurned, "to see whether this node was put out, run there: myco nodes. If so, for a swarm of its own, run here: myco leave. If not, run there: myco doctor"},
		{bus.DialStranger, "that node left this swarm: run `myco invite` on a member, and `myco join TOKEN` there"},
		{bus.DialRefused, "start mycod there; if it runs, see which port it prints for routes"},
		{bus.DialMute, "look at the log of mycod there; over a tunnel or a VPN, lower the MTU of its interface: ip link set dev NAME mtu 1280"},
		{bus.DialTimeout, "wake that machine, or let its firewall pass the port; " + moved},
		{bus.DialNoWay, noWay},
		{bus.DialNotMycod, "see which port mycod prints for routes there"},
	}
	for _, h := range hints {
		if slices.ContainsFunc(dials, func(x bus.DialDiagnosis) bool { return x.Result == h.of }) {
			return h.hint
		}
	}
	return "start mycod there; where mDNS does not reach, name its address here: mycod --peer HOST:7422"
}

// static judges the addresses of --peer that lead to no member. Members are judged as such.
func static(d bus.Diagnosis) []Check {
	var out []Check
	for _, x := range d.Static {
		c := Check{"peer", Fail, fmt.Sprintf("--peer %s: %s", x.Addr, dialed(x)), ""}
		switch x.Result {
		case bus.DialOK, bus.DialSelf, bus.DialOther:
			continue
		case bus.DialStranger:
			c.Hint = "to join it: run `myco invite` there, then here: myco join TOKEN; else take it from the command line of mycod, or from config.toml"
		case bus.DialTwin:
			c.Hint = "one of the two needs a data directory of its own: mycod --data-dir NEWDIR --join TOKEN"
		default:
			if dials(d, x.Addr) {
				continue // it is told of with the member that is there
			}
			c.Hint = advice([]bus.DialDiagnosis{x}, d.OS)
		}
		out = append(out, c)
	}
	return out
}

// dials reports whether an address was tried for a member too.
func dials(d bus.Diagnosis, addr string) bool {
	return slices.ContainsFunc(d.Peers, func(p bus.PeerDiagnosis) bool {
		return slices.ContainsFunc(p.Dials, func(x bus.DialDiagnosis) bool { return x.Addr == addr })
	})
}

// links judges the ways between other nodes, by what they say they hear.
func links(d bus.Diagnosis) []Check {
	var out []Check
	done := map[[2]bus.NodeID]bool{}
	for _, l := range d.Links {
		if done[[2]bus.NodeID{l.To, l.From}] {
			continue
		}
		done[[2]bus.NodeID{l.From, l.To}] = true
		local := l.Local
		for _, o := range d.Links {
			local = local || o.Local && o.From == l.To && o.To == l.From
		}
		c := Check{"link", Fail, fmt.Sprintf("the link between %s and %s is broken: both live, and one does not hear the other", who(l.FromName, l.From), who(l.ToName, l.To)), "run myco doctor on both; " + apart}
		if local {
			c.Detail += "; there are two queue hosts because of it, and work does not pass between them"
		}
		out = append(out, c)
	}
	return out
}

func mdns(d bus.Diagnosis) Check {
	c := Check{Name: "mDNS", Status: OK}
	routed := 0
	for _, p := range d.Peers {
		if p.Routed {
			routed++
		}
	}
	young := time.Duration(d.UptimeMS)*time.Millisecond < mdnsPatience
	switch {
	case !d.MDNS.On:
		c.Detail = "off: others are dialled where they were last, and at --peer"
	case d.MDNS.Problem != "":
		c.Status, c.Detail = Warn, d.MDNS.Problem
	case !d.MDNS.Echo:
		c.Detail = "on; it has just begun to listen"
		if !young {
			c.Status, c.Detail = Warn, "nothing is heard, not even this node's own announcement: multicast does not work here"
		}
	case routed > 0 && d.MDNS.Others == 0 && !young:
		c.Status = Warn
		c.Detail = fmt.Sprintf("this node hears itself and nobody else, though it has %s: multicast does not pass between the machines", count(routed, "route"))
	default:
		c.Detail = fmt.Sprintf("on: the own announcement comes back, and %s heard", is(d.MDNS.Others))
	}
	if c.Status != OK {
		c.Hint = "let UDP port 5353 and multicast pass (some access points isolate their clients), or name a member: mycod --peer HOST:7422"
		if d.OS == "darwin" {
			c.Hint += allowed
		}
	}
	return c
}

func is(n int) string {
	if n == 1 {
		return "1 other node is"
	}
	return fmt.Sprintf("%d other nodes are", n)
}

func versions(d bus.Diagnosis) Check {
	nodes := []bus.NodeInfo{{ID: d.NodeID, Name: d.Name, Version: d.Version, Wire: d.Wire}}
	for _, p := range d.Peers {
		nodes = append(nodes, bus.NodeInfo{ID: p.NodeID, Name: p.Name, Version: p.Version, Wire: p.Wire, State: p.State})
	}
	mix := bus.MixOf(nodes, d.NodeID)
	switch {
	case mix == nil:
		return Check{"versions", OK, "all nodes that are heard run " + d.Version, ""}
	case len(mix.Apart) > 0:
		return Check{"versions", Fail, mix.String(), "install the newer mycod on " + mix.Apart[0].Upgrade}
	}
	return Check{"versions", Warn, mix.String(), "install one version of mycod on all"}
}

func clocks(d bus.Diagnosis) Check {
	var off []string
	for _, p := range d.Peers {
		if skew := time.Duration(p.ClockSkewMS) * time.Millisecond; skew.Abs() > skewLimit && p.State != bus.NodeLost {
			way := "ahead of"
			if skew < 0 {
				way = "behind"
			}
			off = append(off, fmt.Sprintf("that of %s is %v %s this one", who(p.Name, p.NodeID), skew.Abs().Round(time.Second), way))
		}
	}
	if len(off) == 0 {
		return Check{"clocks", OK, "those of all nodes that are heard agree to within 5 s", ""}
	}
	return Check{"clocks", Warn, "they differ: " + some(off) + ". Tasks are not harmed; times that are shown are", "set the clocks by NTP: timedatectl set-ntp true"}
}

func queues(d bus.Diagnosis) Check {
	if d.Swarm.QueueHost == "" {
		return Check{"queues", Fail, "no node holds the work queues at present", "run myco doctor again in a few seconds"}
	}
	if len(d.Waiting) == 0 {
		return Check{"queues", OK, "no task waits for what no node can do", ""}
	}
	var why []string
	for _, t := range d.Waiting {
		if w := strings.TrimPrefix(t.Warning, "waits: "); !slices.Contains(why, w) {
			why = append(why, w)
		}
	}
	verb := "waits"
	if len(d.Waiting) > 1 {
		verb = "wait"
	}
	return Check{
		"queues", Warn, fmt.Sprintf("%s %s that no node can run: %s", count(len(d.Waiting), "task"), verb, some(why)),
		"give a node what it takes, or: myco task cancel " + string(d.Waiting[0].ID),
	}
}

// nearby tells of other swarms: information.
func nearby(d bus.Diagnosis) []Check {
	if len(d.Nearby) == 0 {
		return nil
	}
	var names []string
	for _, n := range d.Nearby {
		names = append(names, n.String())
	}
	return []Check{{"nearby", OK, "other swarms are on this network: " + some(names), ""}}
}

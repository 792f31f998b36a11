package daemon

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/sched"
)

// diagnose gathers what `myco doctor` judges. Nothing here changes anything.
func (d *Daemon) diagnose(ctx context.Context, _ none) (any, error) {
	s := d.id.Swarm()
	out := &bus.Diagnosis{
		NodeID: d.id.NodeID(), Name: d.id.Name(), Version: d.cfg.Version, Wire: bus.ThisWire(), OS: runtime.GOOS, DataDir: d.cfg.DataDir, Log: d.cfg.Log,
		UptimeMS: d.id.Start().Age.Milliseconds(), Swarm: d.swarm(), Revoked: s.Revoked, Listens: d.listens(),
		MDNS: d.diagnoseMDNS(), Store: bus.StoreDiagnosis{Linked: d.store.Linked()}, Nearby: d.nearby(), Owner: d.owner.get(),
		Plugins: d.plugins.list(), PluginsError: bus.AsError(d.plugins.unreadable()),
		HTTPS:        d.cert.diagnose(time.Now()),
		DefaultModel: missingModel(d.nodes(), d.cfg.DefaultModel),
	}
	d.unconfined(out)
	var wg sync.WaitGroup
	var engines, swarm error
	wg.Go(func() { engines = d.diagnoseEngines(ctx, out) })
	wg.Go(func() { out.Search = d.diagnoseSearch(ctx) })
	wg.Go(func() { out.Static = d.dials(ctx, d.cfg.Peers) })
	wg.Go(func() { swarm = d.diagnoseSwarm(ctx, out) })
	wg.Wait()
	for what, err := range map[string]error{"the engines": engines, "the swarm": swarm} {
		if err != nil {
			out.Failed = append(out.Failed, bus.DiagnosisFailure{What: what, Error: err.Error()})
		}
	}
	return out, nil
}

// diagnoseSwarm tells of the other members, and of what waits.
func (d *Daemon) diagnoseSwarm(ctx context.Context, out *bus.Diagnosis) error {
	n, err := d.current()
	if err != nil {
		return err
	}
	out.Peers = d.diagnosePeers(ctx, n.View())
	out.Links = d.brokenLinks(n.View())
	out.Twins = n.Twins()
	out.Draining = n.Draining()
	d.mu.Lock()
	if len(d.copies) > 0 {
		me := d.id.Start()
		self := bus.Instance{Boot: me.ID, Addr: d.addrsOf(d.fabric.FabricAddr())[0], UptimeMS: me.Age.Milliseconds()}
		out.Twins = append(out.Twins, bus.Twins{Node: d.id.NodeID(), Seen: append([]bus.Instance{self}, d.copies...)})
	}
	if d.member != nil {
		out.Store.Unreadable = d.member.jet.Unreadable()
	}
	d.mu.Unlock()
	tasks, err := n.Tasks(ctx)
	for _, t := range tasks {
		if t.State == bus.StateQueued && t.Warning != "" && len(out.Waiting) < waitingMost {
			out.Waiting = append(out.Waiting, t)
		}
	}
	return err
}

// unconfined tells how what reads pages and documents is held back.
func (d *Daemon) unconfined(out *bus.Diagnosis) {
	if runtime.GOOS != "linux" || d.cfg.NoFiles && d.cfg.NoWeb {
		return
	}
	files, calls := confine.Lacks()
	if lack, ok := errors.AsType[*confine.LackError](cmp.Or(files, calls)); ok {
		out.Unconfined, out.UnconfinedHint = lack.Why, lack.Help
		out.Hidden, out.Filtered = files == nil, calls == nil
	}
}

// waitingMost bounds the tasks that are told of.
const waitingMost = 100

// listens are the addresses that this daemon listens on.
func (d *Daemon) listens() []bus.ListenDiagnosis {
	out := []bus.ListenDiagnosis{
		{What: "routes", Net: "tcp", Addr: d.fabric.FabricAddr()},
		{What: "joining", Net: "tcp", Addr: d.join.Addr().String()},
	}
	if !d.cfg.NoMDNS {
		out = append(out, bus.ListenDiagnosis{What: "mDNS", Net: "udp", Addr: "0.0.0.0:5353"})
	}
	for i := range out {
		out[i].Others = forOthers(out[i].Addr)
	}
	return append(out, d.programListens()...)
}

// programListens are those that programs connect to: of this machine, unless told otherwise.
func (d *Daemon) programListens() []bus.ListenDiagnosis {
	out := []bus.ListenDiagnosis{
		{What: "NATS", Net: "tcp", Addr: d.info.BusURL},
		{What: "HTTP", Net: "tcp", Addr: d.http.Addr().String()},
	}
	if host, _, err := net.SplitHostPort(d.cfg.BusListen); err == nil && forOthers(d.cfg.BusListen) {
		if u, err := url.Parse(d.info.BusURL); err == nil { // it is for this machine
			out[0].Addr = net.JoinHostPort(host, u.Port())
		}
	}
	if d.ollama != nil {
		out = append(out, bus.ListenDiagnosis{What: "HTTP, as Ollama", Net: "tcp", Addr: d.ollama.Addr().String()})
	}
	if d.https != nil {
		out = append(out, bus.ListenDiagnosis{What: "HTTPS", Net: "tcp", Addr: d.https.Addr().String()})
	}
	for i := range out {
		out[i].Others = forOthers(out[i].Addr)
	}
	return out
}

func (d *Daemon) diagnoseMDNS() bus.MDNSDiagnosis {
	out := bus.MDNSDiagnosis{On: !d.cfg.NoMDNS}
	if m := d.discoverer(); m != nil {
		out.Echo, out.Others = m.Echo(), len(m.Nearby())
		if err := m.Problem(); err != nil {
			out.Problem = err.Error()
		}
	}
	return out
}

func (d *Daemon) diagnoseEngines(ctx context.Context, out *bus.Diagnosis) (err error) {
	out.Engines, err = engine.Inspect(ctx, engineConfig(d.cfg), d.ownAddrs())
	d.engines.Refused(out.Engines)
	out.Demo = slices.ContainsFunc(d.engines.Models(), func(m bus.ModelInfo) bool { return m.Demo })
	return err
}

// diagnoseSearch tries the search engine.
func (d *Daemon) diagnoseSearch(ctx context.Context) *bus.SearchDiagnosis {
	if d.search == nil {
		return nil
	}
	res, err := d.search.Try(ctx)
	return &bus.SearchDiagnosis{URL: d.search.At(), Found: len(res.Results), Silent: res.Silent, Error: bus.AsError(err)}
}

// diagnosePeers tells of each other member of the roster, and dials those without a route.
func (d *Daemon) diagnosePeers(ctx context.Context, v sched.View) []bus.PeerDiagnosis {
	rtt := d.fabric.RTT()
	var out []bus.PeerDiagnosis
	for _, m := range d.id.Members() {
		if m.Node == d.id.NodeID() {
			continue
		}
		p, heard := v.Peers[m.Node]
		trip, routed := rtt[m.Node]
		one := bus.PeerDiagnosis{
			NodeID: m.Node, Name: m.Name, State: bus.NodeLost, Routed: routed, Left: v.Left(m.Node) && !routed,
			RTTMS: float64(trip.Microseconds()) / 1000,
		}
		if heard {
			one.State, one.Version, one.Wire, one.ClockSkewMS = p.State, p.Info.Version, p.Beat.Wire, p.Skew.Milliseconds()
		}
		if !routed {
			one.HeardBy = d.heardBy(m.Node, v)
		}
		out = append(out, one)
	}
	var wg sync.WaitGroup
	for i := range out {
		if out[i].Routed {
			continue
		}
		wg.Go(func() {
			out[i].Dials = d.dials(ctx, d.trust.addrsOf(out[i].NodeID))
			for k, dial := range out[i].Dials {
				if dial.Result == bus.DialOK && dial.Node != out[i].NodeID {
					out[i].Dials[k].Result = bus.DialOther
				}
			}
		})
	}
	wg.Wait()
	return out
}

// heardBy names the live nodes that say in their heartbeats that they hear a node.
func (d *Daemon) heardBy(id bus.NodeID, v sched.View) (names []string) {
	for by, p := range v.Peers {
		if by != id && by != v.Self && p.Live() && slices.Contains(p.Beat.Sees, id) {
			names = append(names, d.nameOf(by))
		}
	}
	slices.Sort(names)
	return names
}

// dials dials fabric addresses, and tells what each led to.
func (d *Daemon) dials(ctx context.Context, addrs []string) []bus.DialDiagnosis {
	var out []bus.DialDiagnosis
	for _, k := range d.knockAll(ctx, addrs) {
		out = append(out, d.judge(k))
	}
	return out
}

// judge says what a knock means.
func (d *Daemon) judge(k knock) bus.DialDiagnosis {
	out := bus.DialDiagnosis{Addr: k.addr, Node: k.met.Node, Result: bus.DialOK}
	if k.err != nil {
		out.Error, out.Result = k.err.Error(), bus.DialUnsettled
	}
	switch {
	case k.met.Fingerprint == d.id.Fingerprint():
		out.Result = bus.DialSelf
		if by, _ := d.copyAt(k); by.Boot != "" {
			out.Result = bus.DialTwin
		}
	case k.met.Node != "" && !k.met.Member:
		out.Result, out.Swarm = bus.DialStranger, d.swarmOf(string(k.met.Fingerprint))
	case errors.Is(k.err, fabric.ErrTurned):
		out.Result = bus.DialTurned
	case errors.Is(k.err, fabric.ErrRefused):
		out.Result = bus.DialRefused
	case errors.Is(k.err, fabric.ErrSilent):
		out.Result = bus.DialTimeout
	case errors.Is(k.err, fabric.ErrMute):
		out.Result = bus.DialMute
	case errors.Is(k.err, fabric.ErrNoRoute):
		out.Result = bus.DialNoWay
	case errors.Is(k.err, fabric.ErrNoFabric):
		out.Result = bus.DialNotMycod
	}
	return out
}

// swarmOf is the swarm that a stranger announces, where it does.
func (d *Daemon) swarmOf(fingerprint string) string {
	if m := d.discoverer(); m != nil {
		for _, f := range m.Nearby() {
			if f.Fingerprint == fingerprint {
				return f.SwarmID
			}
		}
	}
	return ""
}

// brokenLinks are the pairs of live nodes of which one does not hear the other, by what each
// says in its heartbeats.
func (d *Daemon) brokenLinks(v sched.View) (out []bus.LinkDiagnosis) {
	for from, p := range v.Peers {
		if !p.Live() || p.State == bus.NodeSuspect {
			continue
		}
		for to, q := range v.Peers {
			if to == from || !q.Live() || q.State == bus.NodeSuspect || !p.Beat.Wire.Speaks(q.Beat.Wire) || slices.Contains(p.Beat.Sees, to) {
				continue
			}
			out = append(out, bus.LinkDiagnosis{
				From: from, FromName: d.nameOf(from), To: to, ToName: d.nameOf(to),
				Local: p.Beat.Local && p.Beat.Term > 0 && q.Beat.Term > 0,
			})
		}
	}
	slices.SortFunc(out, func(a, b bus.LinkDiagnosis) int {
		return strings.Compare(a.FromName+"\x00"+a.ToName, b.FromName+"\x00"+b.ToName)
	})
	return out
}

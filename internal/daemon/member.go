package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
	"github.com/mycoswarm/mycoswarm/handlers/file"
	"github.com/mycoswarm/mycoswarm/handlers/web"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/internal/identity"
	"github.com/mycoswarm/mycoswarm/node"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/jet"
)

// member is this node's part in one swarm. Leaving a swarm ends it and begins the next.
type member struct {
	node   *sched.Node
	jet    *jet.Jet
	finish sync.Once
	end    func()
}

var errNoMember = bus.Errorf(bus.CodeUnavailable, "the daemon is starting, stopping or leaving its swarm").WithHint("try again in a moment")

// current returns the member that runs at present.
func (d *Daemon) current() (*sched.Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.member == nil {
		return nil, errNoMember
	}
	return d.member.node, nil
}

func (d *Daemon) setMember(m *member) {
	d.mu.Lock()
	d.member = m
	d.mu.Unlock()
	d.table.news()
}

// startMember starts the part in the swarm; its end is a drain of bounded length.
func (d *Daemon) startMember(ctx context.Context, up *lifeline) error {
	d.finishLeaving(ctx)
	up.later(func() { d.endMember(context.WithoutCancel(ctx)) })
	return d.beginMember(ctx, up.fail)
}

// beginMember starts jet and sched.Node and waits until they are ready.
func (d *Daemon) beginMember(ctx context.Context, fail context.CancelCauseFunc) error {
	up := &lifeline{fail: fail}
	n, j, err := d.buildMember(ctx, up)
	if err != nil {
		up.stop()
		return err
	}
	up.run(ctx, "schedule", n.Run)
	select {
	case <-n.Ready():
	case <-ctx.Done():
		up.stop()
		return context.Cause(ctx)
	}
	d.setMember(&member{node: n, jet: j, end: up.stop})
	return nil
}

// buildMember makes the part in the swarm, with all that it serves, and starts what it needs but the sched.Node itself.
func (d *Daemon) buildMember(ctx context.Context, up *lifeline) (*sched.Node, *jet.Jet, error) {
	onFabric, err := d.fabric.Conn("sched")
	if err != nil {
		return nil, nil, err
	}
	up.later(onFabric.Close)
	onStore, err := d.store.Conn("sched")
	if err != nil {
		return nil, nil, err
	}
	up.later(onStore.Close)
	j, err := d.startJet(ctx, onFabric, onStore, up)
	if err != nil {
		return nil, nil, err
	}
	limits := handlers.Limits{First: d.cfg.FirstTokenLimit, Token: d.cfg.TokenLimit}
	inference := handlers.NewInference(d.measured, d.cfg.Slots).WithLimits(limits).WithTokens(d.metrics.Tokens)
	n := sched.New(d.schedConfig(inference.TokensPerSecond, up.fail), j.Effects())
	serves := []bus.Handler{
		handlers.NewPing(d.id.NodeID(), d.id.Name(), nil),
		inference,
		handlers.NewEmbed(d.measured, d.cfg.Slots).WithLimits(limits),
		handlers.NewPull(d.engines), handlers.NewDelete(d.engines), handlers.NewShow(d.engines),
	}
	for _, h := range append(serves, d.readers(ctx, up)...) {
		if _, err := n.Handle(ctx, h); err != nil {
			return nil, nil, fmt.Errorf("offer a handler: %w", err)
		}
	}
	d.plugins.offerAll(ctx, n)
	if err := d.programs.offerAll(ctx, n); err != nil {
		return nil, nil, err
	}
	up.run(ctx, "follow the engines", func(ctx context.Context) error { return d.followEngines(ctx, n) })
	return n, j, nil
}

// schedConfig is what sched is told of this node. tokensPerSecond is how fast its engines write at present; fail ends
// the daemon.
func (d *Daemon) schedConfig(tokensPerSecond func() float64, fail context.CancelCauseFunc) sched.Config {
	info := func() bus.NodeInfo {
		i, l := d.describe(), d.detector.Load()
		i.Use = &bus.NodeUse{CPUPercent: l.CPUPercent, GPUPercent: l.GPUPercent, TokensPerSecond: tokensPerSecond()}
		return i
	}
	return sched.Config{
		ID: d.id.NodeID(), Rank: d.cfg.Rank, DefaultModel: d.cfg.DefaultModel, Log: d.log,
		Hold: d.cfg.Hold, Reserved: d.cfg.Reserved, Began: d.began,
		Left: d.goodbyes.get(), Alone: func() bool { return len(d.id.Members()) == 1 }, PutOut: d.wasPutOut,
		Info: info, Load: d.load, Slept: node.Slept, Room: d.room.check, Take: d.room.take, Twin: func(by bus.Instance) { d.giveUp(by, fail) },
		News: d.table.news, RouteClosed: d.fabric.RouteClosed(), Meter: d.metrics,
	}
}

// followEngines has n ask its handlers what they can run whenever the engines have changed.
func (d *Daemon) followEngines(ctx context.Context, n *sched.Node) error {
	for {
		_, changed := d.engines.Watch()
		select {
		case <-changed:
			n.CapabilityChanged()
		case <-ctx.Done():
			return nil
		}
	}
}

// readers are what this node reads documents and pages with, and searches the web.
func (d *Daemon) readers(ctx context.Context, up *lifeline) (serves []bus.Handler) {
	var document func(context.Context, bus.FileRequest) (bus.FileResult, error)
	if !d.cfg.NoFiles {
		reader := file.New(file.Config{Cache: filepath.Join(d.cfg.DataDir, "pdfium"), Reader: d.reader("document")})
		up.later(func() { _ = reader.Close(context.WithoutCancel(ctx)) }) // what it frees goes with the process
		serves = append(serves, reader)
		document = reader.Read
	}
	if !d.cfg.NoWeb {
		serves = append(serves, web.New(web.Config{Node: d.id.Name(), Agent: webAgent(d.cfg.Version), Policy: d.web, Reader: d.reader("page"), Document: document}))
	}
	if d.search != nil {
		serves = append(serves, d.search)
	}
	return serves
}

// reader is the program that makes text of what it is given; nil for none.
func (d *Daemon) reader(of string) []string {
	if len(d.cfg.Reader) == 0 {
		return nil
	}
	return append(slices.Clone(d.cfg.Reader), of)
}

// webAgent is what servers of pages are told.
func webAgent(version string) string {
	return "mycoswarm/" + version + " (+https://github.com/mycoswarm/mycoswarm)"
}

func (d *Daemon) startJet(ctx context.Context, onFabric, onStore *nats.Conn, up *lifeline) (*jet.Jet, error) {
	j, err := jet.New(jet.Config{
		Node: d.id.NodeID(), Fabric: onFabric, Store: onStore, Dir: d.schedDir(),
		Domain: func(id bus.NodeID) string { return string(id) },
		Routes: func() map[bus.NodeID]bool {
			present := d.fabric.Routed()
			d.trust.saw(present)
			routes := make(map[bus.NodeID]bool, len(present))
			for id := range present {
				routes[id] = true
			}
			return routes
		},
		Logger: d.log, Take: d.room.takeLarge,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the queues: %w", err)
	}
	up.later(func() {
		if err := j.Close(); err != nil {
			d.log.Warn("close the journal", "err", err)
		}
	})
	if err := j.Start(ctx); err != nil {
		return nil, fmt.Errorf("prepare the queues: %w", err)
	}
	return j, nil
}

// drainLimit is how long what runs may go on once the daemon is told to stop, or leaves its swarm.
func (d *Daemon) drainLimit() time.Duration {
	if d.isCopy.Load() {
		return 0 // what runs here runs in another's name
	}
	return d.cfg.DrainLimit
}

// finish brings the work in the swarm to its end, for at most the drain limit. The member that has done so is returned; nil where
// there is none.
func (d *Daemon) finish(ctx context.Context) *member {
	d.mu.Lock()
	m := d.member
	d.mu.Unlock()
	if m == nil {
		return nil
	}
	m.finish.Do(func() {
		d.trust.learnFromBeats() // for the next start
		ctx, cancel := context.WithTimeout(ctx, d.drainLimit())
		defer cancel()
		m.node.Finish(ctx)
	})
	return m
}

// endMember ends the part in the swarm in good order.
func (d *Daemon) endMember(ctx context.Context) {
	m := d.finish(ctx)
	if m == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel() // it has had its time
	m.node.Leave(ctx)
	d.keepGoodbyes() // what nobody has looked at since
	d.setMember(nil)
	m.end()
}

// describe is what this node tells of itself; sched adds what it runs.
func (d *Daemon) describe() bus.NodeInfo {
	p := d.detector.Profile()
	info := node.Info(p, node.Facts{
		ID: d.id.NodeID(), Name: d.id.Name(), Version: d.cfg.Version,
		EngineUp: len(d.engines.Models()) > 0, FabricAddr: d.addrsOf(d.fabric.FabricAddr())[0],
	})
	if d.engines.PullsHere() {
		info.ModelRoom = p.Room(engine.OllamaModels())
	}
	info.Removed = d.engines.Removed(time.Now())
	if !d.cfg.NoWeb {
		info.WebPorts = d.web.Ports
	}
	info.Owner = d.owner.get()
	info.FreeMemory, info.FreeVRAM = d.owner.free(p.Memory.AvailableMB, d.detector.Load().VRAMFreeMB)
	info.Memory = int64(p.Memory.TotalMB) << 20
	for _, g := range p.GPUs {
		info.VRAM += int64(g.VRAMTotalMB) << 20
	}
	return info
}

func (d *Daemon) load() sched.Load {
	l := d.detector.Load()
	p := d.detector.Profile()
	free := (int64(max(l.VRAMFreeMB, 0)) + int64(p.Memory.AvailableMB)) << 20
	return sched.Load{CPUPercent: l.CPUPercent, GPUPercent: float64(max(l.GPUPercent, 0)), FreeBytes: free}
}

// joinWait is how long a join waits until another member is heard. A reply before would be true,
// and of little use.
const joinWait = 5 * time.Second

// joinSwarm joins the swarm of a token while the daemon runs.
func (d *Daemon) joinSwarm(ctx context.Context, req bus.JoinRequest) (any, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.holds != nil { // what its users asked would be run in the other swarm
		return nil, bus.Errorf(bus.CodeConflict, "copies of tasks of the swarm before are still on this disk: %w", d.holds).
			WithHint("restart mycod, which deletes them, and join then")
	}
	before := d.id.Swarm()
	r, err := d.id.Join(ctx, req.Token, "")
	if err != nil {
		return nil, identityError(err)
	}
	if r.Already {
		d.wentAlong(before)
		if err := d.findAgain(ctx, req.Token, r.Inviter); err != nil {
			return nil, identityError(err)
		}
	} else {
		d.log.Info("joined", "swarm", r.Swarm.Name, "by", r.Inviter.Name)
		d.swarmChanged()
		d.settle(ctx, joinWait)
		if err := d.table.write(ctx, time.Now()); err != nil {
			d.log.Warn("write the table of nodes", "err", err)
		}
	}
	return bus.JoinReply{Swarm: d.swarm(), Changed: !r.Already}, nil
}

// findAgain has a member that does not see the inviter of a token of its swarm ask it where it is. Where it sees
// others, the token may as well be an old one: it is no error that the inviter does not answer.
func (d *Daemon) findAgain(ctx context.Context, token string, inviter identity.Member) error {
	routed := d.fabric.Routed()
	if _, sees := routed[inviter.Node]; sees || inviter.Node == d.id.NodeID() {
		return nil
	}
	err := d.find(ctx, token)
	if err != nil && len(routed) > 0 {
		d.log.Warn("ask the inviter of a token where it is", "err", err)
		return nil
	}
	return err
}

// find asks the inviter of a token of its swarm where it is.
func (d *Daemon) find(ctx context.Context, token string) error {
	before := d.id.Swarm()
	inviter, addrs, err := d.id.Find(ctx, token)
	d.wentAlong(before)
	if err != nil {
		return err
	}
	d.log.Info("told where a member is", "node", inviter.Node, "name", inviter.Name, "addrs", addrs)
	d.trust.told(inviter.Node, addrs)
	d.settle(ctx, joinWait)
	return nil
}

// findEvery is how often a member that sees nobody looks where the token says that it was started with.
const findEvery = time.Minute

// startFinding has a member that was started with a token of its swarm ask there where the others are, as long as it sees none.
func (d *Daemon) startFinding(ctx context.Context, up *lifeline) error {
	if !d.finds {
		return nil
	}
	up.run(ctx, "find the swarm of the join token", func(ctx context.Context) error {
		d.settle(ctx, joinWait)
		level := slog.LevelWarn
		again := time.NewTicker(findEvery)
		defer again.Stop()
		for {
			var err error
			if len(d.fabric.Routed()) == 0 {
				d.changing.Lock()
				err = d.find(ctx, d.cfg.Join)
				d.changing.Unlock()
			}
			switch {
			case errors.Is(err, identity.ErrOtherSwarm): // it has left
				return nil
			case err != nil && ctx.Err() == nil:
				d.log.Log(ctx, level, "no member is heard, nor found by the join token", "err", err)
				level = slog.LevelDebug
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
	return nil
}

// leaveSwarm takes the node into a swarm of one. Its own durable tasks go along; copies that it
// kept for others stay with the others.
func (d *Daemon) leaveSwarm(ctx context.Context, fail context.CancelCauseFunc) (any, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if len(d.id.Members()) == 1 && !d.id.Swarm().Revoked {
		return bus.JoinReply{Swarm: d.swarm()}, nil
	}
	farewell, err := d.id.Farewell()
	if err != nil {
		return nil, identityError(err)
	}
	d.endMember(ctx)
	d.trust.publish(farewell)
	err = d.id.Leave()
	if err == nil {
		d.swarmChanged()
		err = d.dropCustody(ctx)
	}
	if begin := d.beginMember(ctx, fail); begin != nil {
		fail(begin)
		return nil, begin
	}
	if err == nil {
		d.settle(ctx, joinWait)
		err = d.table.write(ctx, time.Now())
	}
	if err != nil {
		return nil, identityError(err)
	}
	d.log.Info("left the swarm", "swarm", d.id.Swarm().Name)
	phrase, err := d.id.RecoveryPhrase()
	if err != nil {
		return nil, identityError(err)
	}
	// It is not noted as shown: the reply may get lost, and the next start shows it again.
	return bus.JoinReply{Swarm: d.swarm(), Changed: true, Phrase: phrase}, nil
}

// dropCustody deletes the copies of others' tasks from the own store, and notes whether some are left.
func (d *Daemon) dropCustody(ctx context.Context) error {
	d.holds = errNoMember // of a store that does not run nothing is deleted
	if js := d.store.JetStream(); js != nil {
		d.holds = jet.DropCustody(ctx, js, d.schedDir())
	}
	return d.holds
}

// schedDir is where the scheduler keeps its files.
func (d *Daemon) schedDir() string { return filepath.Join(d.cfg.DataDir, "sched") }

// swarmChanged tells everybody here that the node is in another swarm.
func (d *Daemon) swarmChanged() {
	d.mu.Lock()
	close(d.moved)
	d.moved = make(chan struct{})
	d.mu.Unlock()
	d.trust.forget()
}

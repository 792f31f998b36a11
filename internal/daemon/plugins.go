package daemon

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/plugin"
	"github.com/mycoswarm/mycoswarm/internal/rhythm"
)

const (
	// pluginsEvery is how often the folder of plugins is looked at.
	pluginsEvery = time.Second
	// pluginsSettle is how long a plugin must have been left alone before it counts: until then somebody may still be
	// writing it. It is a little less than from one look to the next, which are not quite regular.
	pluginsSettle = 900 * time.Millisecond
)

// plugins are the programs of the owner's that do tasks here: those in the folder, as it is at present. They stay when
// the node goes to another swarm.
type plugins struct {
	dir  string // none where it is empty
	temp string
	// served reports whether a program of this machine does tasks of a type.
	served func(typ string) bool
	config plugin.Config
	log    *slog.Logger

	mu   sync.Mutex
	all  map[string]*known  // by name
	news map[string]*unread // by name: what differs from all, and is too new to count
	to   offers             // nil before there is one
	err  error              // of the last look

	leaving sync.WaitGroup // processes of plugins that changed or went
}

// offers is who gives tasks to handlers: sched.Node.
type offers interface {
	Handle(ctx context.Context, h bus.Handler) (remove func(), err error)
}

// known is a plugin as it counts.
type known struct {
	found   plugin.Found    // Err is what is wrong with its folder
	err     error           // why it has no handler
	handler *plugin.Handler // nil where it takes no tasks
	remove  func()          // has it offered no more
}

// unread is a plugin that has come, changed or gone; nil of found: gone.
type unread struct {
	found *plugin.Found
	since time.Time
}

// startPlugins reads the folder of plugins, and goes on looking at it. One that is wrong is told of, and is no reason
// not to start.
func (d *Daemon) startPlugins(ctx context.Context, up *lifeline) error {
	temp := filepath.Join(d.cfg.DataDir, "plugins")
	d.plugins = plugins{
		dir: d.cfg.PluginDir, temp: temp, served: d.programs.serves, log: d.log,
		config: plugin.Config{Confiner: d.cfg.Confiner, Disk: d.room.disk, Log: d.log},
		all:    map[string]*known{}, news: map[string]*unread{},
	}
	if d.cfg.PluginDir == "" {
		return nil
	}
	if err := plugin.Clean(temp); err != nil {
		d.log.Warn("plugins may find what others left", "err", err)
	}
	found, err := plugin.Find(d.cfg.PluginDir)
	if err != nil {
		return err
	}
	for _, f := range found {
		d.plugins.change(ctx, f)
	}
	up.later(d.plugins.close)
	up.run(ctx, "look for plugins", func(ctx context.Context) error {
		rhythm.Each(ctx, d.began, pluginsEvery, func(now time.Time) { d.plugins.look(ctx, now) })
		return nil
	})
	return nil
}

// look reads the folder, and takes what has been as it is for pluginsSettle: plugins that came, changed or went. What
// others may write goes at once.
func (p *plugins) look(ctx context.Context, now time.Time) {
	if p.dir == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found, err := plugin.Find(p.dir)
	if err != nil {
		if p.err == nil {
			p.log.Warn("plugins stay as they were", "err", err)
		}
		p.err = err
		return
	}
	p.err = nil
	there := map[string]bool{}
	for _, f := range found {
		there[f.Name] = true
	}
	for name := range p.all {
		if !there[name] && p.settled(name, nil, now) {
			p.log.Info("a plugin is gone", "plugin", name)
			p.take(name)
		}
	}
	for name, n := range p.news {
		if !there[name] && (n.found != nil || p.all[name] == nil) { // it came, and went before it counted
			delete(p.news, name)
		}
	}
	for _, f := range found {
		k := p.all[f.Name]
		switch {
		case k != nil && k.found.Is(f):
			delete(p.news, f.Name)
		case errors.Is(f.Err, &bus.Error{Code: bus.CodeForbidden}), p.settled(f.Name, &f, now):
			p.change(ctx, f)
		}
	}
}

// settled notes how a plugin is that is not as it counts, and reports whether it has been so for long enough.
func (p *plugins) settled(name string, f *plugin.Found, now time.Time) bool {
	n := p.news[name]
	if n == nil || (n.found == nil) != (f == nil) || f != nil && !n.found.Is(*f) {
		p.news[name] = &unread{f, now}
		return false
	}
	return now.Sub(n.since) >= pluginsSettle
}

// change has a plugin count as it is. A task that runs goes on as it was.
func (p *plugins) change(ctx context.Context, f plugin.Found) {
	delete(p.news, f.Name)
	k, old := &known{found: f, err: f.Err}, p.all[f.Name]
	if k.err == nil && p.served(f.Manifest.Type) {
		k.err = bus.Errorf(bus.CodeConflict, "a program of this machine serves the type %q", f.Manifest.Type).WithHint("end that, or give the plugin another type")
	}
	if k.err == nil {
		c := p.config
		c.Temp = filepath.Join(p.temp, f.Name)
		if old != nil && old.handler != nil && old.found.Manifest.Type == f.Manifest.Type {
			c.Before = old.handler
		}
		k.handler, k.err = plugin.New(f, c)
	}
	p.all[f.Name] = k
	if old != nil {
		defer p.leave(old)
	}
	if k.err != nil {
		p.log.Warn("a plugin is left out", "plugin", f.Name, "err", k.err)
		return
	}
	p.offer(ctx, k)
	p.log.Info("plugin", "name", f.Name, "type", f.Manifest.Type, "slots", f.Manifest.Slots)
}

// take has a plugin count no more.
func (p *plugins) take(name string) {
	k := p.all[name]
	delete(p.all, name)
	delete(p.news, name)
	p.leave(k)
}

// leave has k take no more tasks.
func (p *plugins) leave(k *known) {
	if k.remove != nil {
		k.remove()
	}
	if k.handler != nil {
		p.leaving.Go(k.handler.Leave)
	}
}

func (p *plugins) offer(ctx context.Context, k *known) {
	if p.to == nil {
		return
	}
	var err error
	if k.remove, err = p.to.Handle(ctx, k.handler); err != nil {
		k.err = err
		p.log.Warn("a plugin is not offered", "plugin", k.found.Name, "err", err)
	}
}

// offerAll gives the handlers to a node that starts.
func (p *plugins) offerAll(ctx context.Context, to offers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
	for _, k := range p.all {
		if k.handler != nil {
			p.offer(ctx, k)
		}
	}
}

// close ends all programs. Nobody gives them tasks any more, and those that are leaving have none.
func (p *plugins) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all sync.WaitGroup
	all.Go(p.leaving.Wait)
	for _, k := range p.all {
		if k.handler != nil {
			all.Go(k.handler.Close)
		}
	}
	all.Wait()
}

// leaves has a program take a type that no plugin does tasks of; none gets it meanwhile, for the node gives a type to
// whoever asked last, and the other would not hear of it.
func (p *plugins) leaves(typ string, take func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.all {
		if k.handler != nil && k.found.Manifest.Type == typ {
			return bus.Errorf(bus.CodeConflict, "a plugin of this machine serves the type %q", typ).WithHint("myco plugins")
		}
	}
	return take()
}

// listPlugins answers bus.VerbPlugins.
func (d *Daemon) listPlugins(ctx context.Context, _ none) (any, error) {
	d.plugins.look(ctx, time.Now()) // who asks has perhaps just written one
	return d.plugins.list(), d.plugins.unreadable()
}

// unreadable is why the folder cannot be read at present.
func (p *plugins) unreadable() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// list tells of the plugins, by their names, with those that are too new to count.
func (p *plugins) list() []bus.PluginInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := maps.Clone(p.all)
	for name, n := range p.news {
		if all[name] == nil && n.found != nil {
			all[name] = &known{found: *n.found, err: cmp.Or(n.found.Err, error(bus.Errorf(bus.CodeUnavailable, "it came just now, and counts once it has not changed for a second")))}
		}
	}
	out := []bus.PluginInfo{}
	for _, k := range all {
		m := k.found.Manifest
		info := bus.PluginInfo{
			Name: k.found.Name, Dir: k.found.Dir, Type: m.Type, About: m.About, Slots: m.Slots, Confined: !m.Unconfined, May: m.Allow.List(), Error: bus.AsError(k.err),
		}
		if k.handler != nil && k.err == nil {
			var err error
			info.Processes, err = k.handler.State()
			info.Error = bus.AsError(err)
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b bus.PluginInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

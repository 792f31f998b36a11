package daemon

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/plugin"
)

// plugins are the programs of the owner's that do tasks here. They are read at the start, and stay when the
// node goes to another swarm.
type plugins struct {
	dir      string // none where it is empty
	found    []plugin.Found
	unread   map[string]bool            // by name: those whose folder was wrong
	handlers map[string]*plugin.Handler // by name
}

// startPlugins reads the folder of plugins. One that is wrong is told of, and is no reason not to start.
func (d *Daemon) startPlugins(_ context.Context, up *lifeline) error {
	d.plugins.dir, d.plugins.unread, d.plugins.handlers = d.cfg.PluginDir, map[string]bool{}, map[string]*plugin.Handler{}
	if d.cfg.PluginDir == "" {
		return nil
	}
	found, err := plugin.Find(d.cfg.PluginDir)
	if err != nil {
		return err
	}
	for i := range found {
		f := &found[i]
		d.plugins.unread[f.Name] = f.Err != nil
		h, err := plugin.New(*f, plugin.Config{
			Confiner: d.cfg.Confiner, Temp: filepath.Join(d.cfg.DataDir, "plugins", f.Name), Disk: d.room.disk, Log: d.log,
		})
		if err != nil {
			f.Err = err
			d.log.Warn("a plugin is left out", "plugin", f.Name, "err", err)
			continue
		}
		d.plugins.handlers[f.Name] = h
		up.later(h.Close)
		d.log.Info("plugin", "name", f.Name, "type", f.Manifest.Type, "slots", f.Manifest.Slots)
	}
	d.plugins.found = found
	return nil
}

// serve returns what does the tasks.
func (p *plugins) serve() (out []bus.Handler) {
	for _, f := range p.found {
		if h := p.handlers[f.Name]; h != nil {
			out = append(out, h)
		}
	}
	return out
}

// does reports whether a plugin does tasks of a type.
func (p *plugins) does(typ string) bool {
	for _, h := range p.handlers {
		if h.Manifest.Type == typ {
			return true
		}
	}
	return false
}

// listPlugins answers bus.VerbPlugins.
func (d *Daemon) listPlugins(context.Context, none) (any, error) { return d.plugins.list(), nil }

// list tells of the plugins, and of those that came, or were mended, since the start.
func (p *plugins) list() []bus.PluginInfo {
	out := []bus.PluginInfo{}
	for _, f := range p.since() {
		m := f.Manifest
		info := bus.PluginInfo{Name: f.Name, Dir: f.Dir, Type: m.Type, About: m.About, Slots: m.Slots, Confined: !m.Unconfined, May: m.Allow.List()}
		err := f.Err
		if h := p.handlers[f.Name]; h != nil {
			info.Processes, err = h.State()
		}
		info.Error = bus.AsError(err)
		out = append(out, info)
	}
	return out
}

// since returns those that were found at the start; with what is in the folder by now, where that would be read.
func (p *plugins) since() []plugin.Found {
	if p.dir == "" {
		return nil
	}
	out := slices.Clone(p.found)
	now, err := plugin.Find(p.dir)
	if err != nil {
		return out // those of the start still work
	}
	for _, f := range now {
		i := slices.IndexFunc(out, func(o plugin.Found) bool { return o.Name == f.Name })
		switch {
		case i < 0:
			if f.Err == nil {
				f.Err = bus.Errorf(bus.CodeUnavailable, "it came after mycod started, which reads the folder then").WithHint("start mycod anew")
			}
			out = append(out, f)
		case p.unread[f.Name] && f.Err == nil:
			f.Err = bus.Errorf(bus.CodeUnavailable, "it was mended after mycod started, which reads the folder then").WithHint("start mycod anew")
			out[i] = f
		case p.unread[f.Name]:
			out[i] = f // what is wrong with it by now
		}
	}
	slices.SortFunc(out, func(a, b plugin.Found) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

package daemon

import (
	"context"
	"path/filepath"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/plugin"
)

// plugins are the programs of the owner's that do tasks here. They are read at the start, and stay when the
// node goes to another swarm.
type plugins struct {
	found    []plugin.Found
	handlers map[string]*plugin.Handler // by name
}

// startPlugins reads the folder of plugins. One that is wrong is told of, and is no reason not to start.
func (d *Daemon) startPlugins(_ context.Context, up *lifeline) error {
	d.plugins.handlers = map[string]*plugin.Handler{}
	if d.cfg.PluginDir == "" {
		return nil
	}
	found, err := plugin.Find(d.cfg.PluginDir)
	if err != nil {
		return err
	}
	for i := range found {
		f := &found[i]
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

func (p *plugins) list() []bus.PluginInfo {
	out := []bus.PluginInfo{}
	for _, f := range p.found {
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

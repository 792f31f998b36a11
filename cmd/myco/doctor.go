package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/doctor"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/node"
)

// doctorCmd looks for what is wrong, with a daemon or without.
type doctorCmd struct {
	Strict bool `help:"Exit with 1 for warnings too."`
}

// Run implements the command. Something wrong is CodeFailed, after the report.
func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	facts, err := a.facts(ctx)
	if err != nil {
		return err
	}
	r := doctor.Examine(facts)
	for i, c := range r.Checks {
		r.Checks[i].Hint = a.next(c.Hint)
	}
	a.report(r)
	switch worst := r.Worst(); {
	case worst == doctor.Fail, worst == doctor.Warn && c.Strict:
		a.code = 1
	}
	return nil
}

// facts gathers what is to be judged.
func (a *app) facts(ctx context.Context) (doctor.Facts, error) {
	dir := a.dataDir
	if dir == "" {
		dir = bus.FindDataDir()
	}
	f := doctor.Facts{Start: "mycod"}
	switch dir {
	case bus.DefaultDataDir():
	case bus.SystemDataDir:
		f.Start = "systemctl start mycod"
	default:
		f.Start = "mycod --data-dir " + bus.ShellWord(dir)
	}
	d, err := a.diagnose(ctx)
	if ctx.Err() != nil {
		return f, context.Cause(ctx)
	}
	if err == nil {
		f.Daemon, f.Dir = &d, doctor.Dir(d.DataDir)
		return f, nil
	}
	f.DaemonError, f.Dir = bus.AsError(err), doctor.Dir(dir)
	_, err = os.Stat(filepath.Join(dir, bus.DaemonFile))
	f.Known = err == nil
	if info, err := bus.ReadDaemonInfo(dir); err == nil {
		f.PID = info.PID
	}
	f.Ports = defaultPorts(ctx)
	f.Engines, err = engine.Inspect(ctx, engine.Config{}, node.Addrs(ctx))
	return f, err
}

func (a *app) diagnose(ctx context.Context) (bus.Diagnosis, error) {
	conn, err := a.dial(ctx)
	if err != nil {
		return bus.Diagnosis{}, err
	}
	defer conn.Close()
	return conn.Diagnose(ctx)
}

// defaultPorts tries the ports that mycod takes unless told otherwise.
func defaultPorts(ctx context.Context) []doctor.PortFacts {
	ports := []doctor.PortFacts{
		{What: "NATS clients", Addr: config.BusListen},
		{What: "routes", Addr: config.FabricListen},
		{What: "joining", Addr: config.JoinListen},
		{What: "HTTP", Addr: config.HTTPListen},
	}
	for i := range ports {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", ports[i].Addr)
		if err != nil {
			ports[i].Error = err.Error()
			ports[i].Node = ports[i].Addr == config.HTTPListen && isNode(ctx, ports[i].Addr)
			continue
		}
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			ports[i].Error = err.Error()
		}
	}
	return ports
}

// nodeLimit is how long what has the port of HTTP may take to say that it is a node.
const nodeLimit = 2 * time.Second

// isNode reports whether a daemon answers HTTP at addr.
func isNode(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, nodeLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/health", nil)
	if err != nil {
		return false
	}
	t := &http.Transport{DisableKeepAlives: true}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.Header.Get(bus.HeaderGateway) != ""
}

// report prints what was found.
func (a *app) report(r doctor.Report) {
	if a.json {
		a.object(r)
		return
	}
	rows := make([][2]string, len(r.Checks))
	for i, c := range r.Checks {
		mark := map[doctor.Status]string{
			doctor.OK: goodStyle.Render("ok  "), doctor.Warn: soonStyle.Render("warn"), doctor.Fail: badStyle.Render("FAIL"),
		}[c.Status]
		text := c.Detail
		if c.Hint != "" {
			text += "\n" + dimStyle.Render("try: "+c.Hint)
		}
		rows[i] = [2]string{mark + "  " + c.Name, text}
	}
	a.fields(wrapPairs(rows, a.width()))
	switch r.Worst() {
	case doctor.OK:
		a.hint("All is well.")
	case doctor.Warn:
		a.hint("It works, with warnings.")
	case doctor.Fail:
		a.hint("Something is wrong: see FAIL above.")
	}
}

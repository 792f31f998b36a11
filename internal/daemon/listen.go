package daemon

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/neterr"
)

// nextFree is how many ports are tried after a default one that is taken.
const nextFree = 100

// listen listens on addr. Where addr is empty it listens on def, or on the next free port, and
// says so.
func listen(ctx context.Context, log *slog.Logger, flag, addr, def string) (net.Listener, error) {
	host, p, err := net.SplitHostPort(cmp.Or(addr, def))
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "%s: %w", flag, err)
	}
	first, err := strconv.Atoi(p)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "%s: %w", flag, err)
	}
	last := first
	if addr == "" {
		last += nextFree
	}
	var lc net.ListenConfig
	for port := first; ; port++ {
		at := net.JoinHostPort(host, strconv.Itoa(port))
		ln, err := lc.Listen(ctx, "tcp", at)
		switch {
		case err == nil && port != first:
			log.Warn("port is taken, using another", "flag", flag, "wanted", first, "using", port)
			return ln, nil
		case err == nil:
			return ln, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !neterr.InUse(err):
			return nil, bus.Errorf(bus.CodeUnavailable, "listen on %s: %w", at, err).WithHint("check the address: mycod %s HOST:PORT", flag)
		case port >= last:
			return nil, bus.Errorf(bus.CodeUnavailable, "address %s is in use by another program: %w", at, err).
				WithHint("stop that program, or give another address: mycod %s HOST:PORT (port 0 takes any)", flag)
		}
	}
}

// warnOfPlaintext tells what others on the network can read of programs that do not run here.
func (d *Daemon) warnOfPlaintext() {
	for flag, addr := range map[string]string{"--bus-listen": d.cfg.BusListen, "--http-listen": d.cfg.HTTPListen, ollamaFlag: d.cfg.OllamaListen} {
		if !forOthers(addr) {
			continue
		}
		d.log.Warn("programs on other machines can connect here, without encryption: who watches the network reads tasks and answers",
			"flag", flag, "addr", addr, "safer", "listen on 127.0.0.1, and run mycod on the other machine; or, for HTTP, mycod --https-listen")
	}
}

// forOthers reports whether other machines may reach what listens at addr, HOST:PORT; nobody does where it is empty.
func forOthers(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}

// reachable is addr as a client of this machine dials it.
func reachable(addr net.Addr) string {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil || !ap.Addr().IsUnspecified() {
		return addr.String()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port()).String()
}

// fabricAddrs are where a node that reached this one at local reaches its fabric.
func (d *Daemon) fabricAddrs(local net.Addr) []string {
	fabric, err := netip.ParseAddrPort(d.fabric.FabricAddr())
	if err != nil {
		return nil
	}
	if !fabric.Addr().IsUnspecified() {
		return []string{fabric.String()}
	}
	out := d.addrsOf(fabric.String())
	if at, err := netip.ParseAddrPort(local.String()); err == nil {
		first := netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), fabric.Port()).String()
		out = append([]string{first}, slices.DeleteFunc(out, func(a string) bool { return a == first })...)
	}
	return out
}

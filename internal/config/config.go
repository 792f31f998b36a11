package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The addresses that a daemon listens on unless told otherwise. Where one is taken, the next
// free port is used; an address that was asked for is an error instead.
const (
	BusListen    = "127.0.0.1:4222" // NATS clients of this machine
	FabricListen = "0.0.0.0:7422"   // routes of other nodes
	JoinListen   = "0.0.0.0:7423"   // nodes that join with a token
	HTTPListen   = "127.0.0.1:7890" // HTTP clients of this machine
)

// maxHold is the longest Hold: slots that hear nothing for longer look for work themselves.
const maxHold = 2 * time.Second

// maxReattachGrace is the longest ReattachGrace.
const maxReattachGrace = time.Hour

// Config is what a daemon is told. The zero value of a field means its default.
type Config struct {
	// DataDir holds keys, roster, tasks and credentials, mode 0700. Default:
	// bus.DefaultDataDir.
	DataDir string
	// Name is the node's name for people. Default: the host's.
	Name string
	// Version is told to others; at most 32 characters.
	Version string

	// BusListen, FabricListen, JoinListen and HTTPListen are HOST:PORT; port 0 takes any free
	// port. Empty: the constant of that name, or one of the next ports.
	BusListen, FabricListen, JoinListen, HTTPListen string
	// HTTPKey wants the HTTP key of programs of this machine too: for the interfaces of Ollama, OpenAI and
	// Anthropic, the dashboard and the figures. Default: those need none there, as with Ollama.
	HTTPKey bool
	// HTTPHosts are names by which this machine may be called over HTTP, beside those of loopback, its
	// own addresses, its host name, with .local too, and host.docker.internal.
	HTTPHosts []string
	// HTTPOrigins are the web sites and apps whose pages may call the interfaces of Ollama, OpenAI and Anthropic in a browser, and
	// read what is answered: SCHEME://HOST or SCHEME://HOST:PORT, or SCHEME://* where it is none of the web.
	HTTPOrigins []string
	// OllamaListen, HOST:PORT, answers HTTP as HTTPListen does, for programs that look for Ollama at
	// 127.0.0.1:11434. Empty: nothing does.
	OllamaListen string

	// HTTPSListen, HOST:PORT, answers with the certificate of the file TLSCert, whose key is in TLSKey, or in the same file
	// where that is empty. Empty: nowhere.
	HTTPSListen, TLSCert, TLSKey string
	// Peers are fabric addresses, HOST:PORT, to dial beside those that are found. Whether the
	// node there is a member is seen at the handshake.
	Peers []string
	// NoMDNS turns off announcing this node and looking for others on the LAN.
	NoMDNS bool
	// Join is the text of a join token. A node that is a member already ignores it. Empty:
	// stay in the present swarm, or found one.
	Join string

	// Engines are base URLs of inference engines, beside Ollama on this machine.
	Engines []string
	// EngineKeys is a file with the keys of engines that want one, a line each: URL KEY. It is read again and again, and
	// need not be there. Empty: no engine gets a key.
	EngineKeys string
	// NoDemoEngine leaves out the built-in demo model, which serves while there is no other.
	NoDemoEngine bool
	// Slots is how many inference tasks run at once. Default 2: one more than most engines
	// work on, so that the next prompt is there when one ends.
	Slots int
	// Hold is how long a task may wait for a much better node that is busy, where another is idle, while
	// this node is queue host. Default 500 ms; negative for not at all.
	Hold time.Duration
	// Reserved is how many slots of each node with two or more are kept from batch work, while this node
	// is queue host. Default 1; negative for none.
	Reserved int
	// FirstTokenLimit and TokenLimit are how long an engine may say nothing before its answer
	// begins, and from one piece of it to the next: then the task goes to another node. Default:
	// by the prompt and the model, at least 2 min; and 30 s.
	FirstTokenLimit, TokenLimit time.Duration
	// ReattachGrace is how long a task waits for a client over HTTP that asked for it to come back
	// (reattach=1), from when it has dropped. Default 30 s; at most 1 h, for its output is kept in memory.
	ReattachGrace time.Duration
	// DefaultModel answers where a task names none. Default: the swarm's choice.
	DefaultModel string
	// Closed are hours in which the machine takes no tasks of other nodes, as node.ParseHours reads
	// them: "mon-fri 09:00-17:00". Default: none.
	Closed []string
	// YieldGPU closes the machine to others while programs that are not the swarm's use its GPU.
	YieldGPU bool
	// OnBattery is what a machine on battery does for others: "use", "last" or "never". Default
	// "last": what no other machine can do.
	OnBattery string
	// NoFiles keeps the machine from reading documents, for others and for its owner.
	NoFiles bool
	// NoWeb keeps the machine from fetching pages of the web, for others and for its owner.
	NoWeb bool
	// WebAllow are addresses and networks that pages may be fetched from although they are not public, as
	// web.ParseNetwork reads them; WebPorts are ports beside 80 and 443. Both hold for every member of the
	// swarm. Default: none.
	WebAllow, WebPorts []string
	// Search is where a SearXNG is, as web.ParseSearch reads it: this node searches the web by it, for every member of
	// the swarm. It may hold a name and a password. Empty: this node does not search.
	Search string
	// Reader is a program, with its arguments, that makes text of what it is given: with "page" after them it is
	// web.Main, with "document" file.Main. Empty: text is made in this process, which one page or document that
	// was made for it can hold up.
	Reader []string
	// PluginDir is a folder of programs that do tasks of kinds of their own, see package handlers/plugin. Empty: none.
	PluginDir string
	// Confiner is a program, with its arguments, that is confine.Main: plugins run under it.
	Confiner []string
	// Rank is the owner's wish for this node to be queue host, higher is likelier; below 0
	// never. Default 0.
	Rank int

	// GroupAccess lets members of the daemon's group use it as its own user does: what they need of the data
	// directory is readable to the group, and nothing else is. Default: its user alone, and root.
	GroupAccess bool
	// Log is where a person reads the log of this daemon, for `myco doctor`: a file, or a command that
	// shows it. Empty: standard error.
	Log string
	// ContextDir is the folder of the NATS CLI's configuration, where a context named "myco"
	// is written. Empty: none is written.
	ContextDir string
	// DrainLimit is how long running tasks may take once the daemon is asked to stop.
	// Default 10 s: an answer of usual length.
	DrainLimit time.Duration
}

// Default returns the Config of a daemon that was told nothing. Listen addresses stay empty,
// since only then do taken ports give way.
func Default() Config {
	return Config{DataDir: bus.DefaultDataDir(), Version: "0.0.0-dev", Slots: 2, DrainLimit: 10 * time.Second}
}

// WithDefaults returns c with Default in place of what is zero.
func (c Config) WithDefaults() Config {
	d := Default()
	c.DataDir, c.Version = cmp.Or(c.DataDir, d.DataDir), cmp.Or(c.Version, d.Version)
	c.Slots, c.DrainLimit = cmp.Or(c.Slots, d.Slots), cmp.Or(c.DrainLimit, d.DrainLimit)
	return c
}

// Validate reports the first thing wrong, as an Error with CodeInvalid whose hint names the flag.
func (c Config) Validate() error {
	if err := c.checkAddrs(); err != nil {
		return err
	}
	switch {
	case (c.HTTPSListen == "") != (c.TLSCert == "") || c.TLSKey != "" && c.TLSCert == "":
		return bus.Errorf(bus.CodeInvalid, "--https-listen and --tls-cert go together, and --tls-key with them").
			WithHint("mycod --https-listen 0.0.0.0:7443 --tls-cert box.crt --tls-key box.key")
	case c.Hold > maxHold:
		return bus.Errorf(bus.CodeInvalid, "--hold %v: want at most %v", c.Hold, maxHold).WithHint("mycod --hold 500ms")
	case c.Slots < 0 || c.Slots > 1024:
		return bus.Errorf(bus.CodeInvalid, "--slots %d: want 1 to 1024", c.Slots).WithHint("mycod --slots 2")
	case c.ReattachGrace < 0 || c.ReattachGrace > maxReattachGrace:
		return bus.Errorf(bus.CodeInvalid, "--reattach-grace %v: want more than 0, at most %v", c.ReattachGrace, maxReattachGrace).WithHint("mycod --reattach-grace 30s")
	case len(c.Version) > 32:
		return bus.Errorf(bus.CodeInvalid, "the version has %d characters, want at most 32", len(c.Version))
	case c.FirstTokenLimit < 0 || c.TokenLimit < 0:
		return bus.Errorf(bus.CodeInvalid, "--first-token-limit %v, --token-limit %v: want more than 0", c.FirstTokenLimit, c.TokenLimit).WithHint("mycod --first-token-limit 2m --token-limit 30s")
	case c.GroupAccess && runtime.GOOS == "windows":
		return bus.Errorf(bus.CodeInvalid, "--group-access is not for Windows, where the data directory has a list of those who may read it").
			WithHint("leave it out, and have that list name others: icacls DIR /grant \"NAME:(OI)(CI)R\"")
	case c.DrainLimit < 0:
		return bus.Errorf(bus.CodeInvalid, "the drain limit %v is negative", c.DrainLimit)
	}
	return nil
}

// checkAddrs is Validate for what others are reached by, or reach this daemon by.
func (c Config) checkAddrs() error {
	for _, l := range []struct{ flag, addr string }{
		{"--bus-listen", c.BusListen},
		{"--fabric-listen", c.FabricListen},
		{"--join-listen", c.JoinListen},
		{"--http-listen", c.HTTPListen},
		{"--ollama-listen", c.OllamaListen},
		{"--https-listen", c.HTTPSListen},
	} {
		if l.addr == "" {
			continue
		}
		if err := checkAddr(l.addr, 0); err != nil {
			return bus.Errorf(bus.CodeInvalid, "%s %q: %w", l.flag, l.addr, err).
				WithHint("mycod %s 127.0.0.1:0, or 0.0.0.0:PORT for every interface", l.flag)
		}
	}
	for _, p := range c.Peers {
		if err := checkAddr(p, 1); err != nil {
			return bus.Errorf(bus.CodeInvalid, "--peer %q: %w", p, err).
				WithHint("mycod --peer HOST:7422, the fabric address of a member of the swarm")
		}
	}
	for _, h := range c.HTTPHosts {
		if !isHost(h) {
			return bus.Errorf(bus.CodeInvalid, "--http-host %q: want a name or an address, without a port", h).
				WithHint("mycod --http-host box.example.org")
		}
	}
	for _, o := range c.HTTPOrigins {
		if err := checkOrigin(o); err != nil {
			return bus.Errorf(bus.CodeInvalid, "--http-origin %q: %w", o, err).WithHint("mycod --http-origin https://chat.example.org")
		}
	}
	for _, e := range c.Engines {
		if !strings.Contains(e, "://") {
			e = "http://" + e // as the engines read it, and Ollama its own address
		}
		if u, err := url.Parse(e); err != nil || u.Host == "" { // what was given may hold a password
			return bus.Errorf(bus.CodeInvalid, "--engine is not a URL").WithHint("mycod --engine http://127.0.0.1:11434")
		}
	}
	return nil
}

// isHost reports whether h is a host name or an address. A pattern is neither: what it lets in would
// be somebody else's.
func isHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	return h != "" && len(h) <= 253 && !strings.ContainsFunc(h, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// checkAddr wants HOST:PORT with a port of at least low.
func checkAddr(addr string, low int) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("want HOST:PORT: %w", err)
	}
	if host == "" {
		return fmt.Errorf("the host is missing")
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < low || n > 65535 {
		return fmt.Errorf("the port is not %d to 65535", low)
	}
	return nil
}

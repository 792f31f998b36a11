package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/daemon"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// envNoContext keeps the daemon from writing a context for the NATS CLI.
const envNoContext = "MYCO_NO_NATS_CONTEXT"

// envNoPhrase keeps a first start from showing the swarm's recovery phrase, where what it prints is kept: as by what runs
// containers.
const envNoPhrase = "MYCO_NO_PHRASE"

// runFlags are those of a node.
type runFlags struct {
	DataDir      string         `placeholder:"DIR" group:"This node:" help:"Keys, roster and tasks (also MYCO_DATA_DIR, or as a service STATE_DIRECTORY). Default: ~/.local/state/mycoswarm."`
	Name         string         `placeholder:"NAME" group:"This node:" help:"This node's name; a member that does not hold the swarm's key keeps the one it joined with. Default: the host's."`
	Config       string         `placeholder:"FILE" group:"This node:" help:"Settings: flags by their names, as in slots = 4 (also MYCO_CONFIG). Default: ~/.config/mycoswarm/config.toml, if it is there."`
	Join         string         `placeholder:"TOKEN" group:"The swarm:" help:"Join a swarm: the token, @FILE, or - for standard input. A member stays in its swarm, and learns where that is if it sees nobody."`
	Peer         []string       `sep:"none" placeholder:"HOST:PORT" group:"The swarm:" help:"Fabric address of a member, where mDNS does not reach. Repeatable."`
	NoMDNS       bool           `name:"no-mdns" group:"The swarm:" help:"Neither announce this node nor look for others on the LAN."`
	BusListen    string         `placeholder:"HOST:PORT" group:"Addresses:" help:"For programs of this machine. Default: 127.0.0.1:4222, or the next free port."`
	FabricListen string         `placeholder:"HOST:PORT" group:"Addresses:" help:"For other nodes. Default: 0.0.0.0:7422, or the next free port."`
	JoinListen   string         `placeholder:"HOST:PORT" group:"Addresses:" help:"For nodes that join. Default: 0.0.0.0:7423, or the next free port."`
	HTTPListen   string         `name:"http-listen" placeholder:"HOST:PORT" group:"Addresses:" help:"For HTTP. Default: 127.0.0.1:7890, or the next free port."`
	HTTPKey      bool           `name:"http-key" group:"Addresses:" help:"Want a key of programs of this machine too: for the interfaces of Ollama, OpenAI and Anthropic, for /mcp, /ui/ and /metrics."`
	HTTPOrigin   []string       `name:"http-origin" sep:"none" placeholder:"ORIGIN" group:"Addresses:" help:"A web site or app whose pages may use the interfaces of Ollama, OpenAI and Anthropic here, and /mcp, as https://chat.example.org or app://obsidian.md. Repeatable."`
	HTTPHost     []string       `name:"http-host" sep:"none" placeholder:"NAME" group:"Addresses:" help:"A name by which programs may call this node over HTTP, beside its own. Repeatable."`
	OllamaListen string         `placeholder:"HOST:PORT" group:"Addresses:" help:"For HTTP too: 127.0.0.1:11434 for programs that look for Ollama there. Default: none."`
	HTTPSListen  string         `name:"https-listen" placeholder:"HOST:PORT" group:"Addresses:" help:"For HTTPS, with the certificate of --tls-cert, as 0.0.0.0:7443. Default: none."`
	TLSCert      string         `name:"tls-cert" placeholder:"FILE" group:"Addresses:" help:"The certificate of HTTPS with its chain, in PEM (docs/install.md). The file is read again when it changes."`
	TLSKey       string         `name:"tls-key" placeholder:"FILE" group:"Addresses:" help:"Its key, in PEM. Default: in the file of --tls-cert."`
	Engine       []string       `sep:"none" placeholder:"URL" group:"Models, and what runs at once:" help:"An inference engine, beside Ollama on this machine. Repeatable."`
	EngineKeys   string         `placeholder:"FILE" group:"Models, and what runs at once:" help:"Keys of engines that want one, a line each: URL KEY. The file is read again when it changes. Default: ~/.config/mycoswarm/engine-keys, if it is there."`
	NoDemoEngine bool           `group:"Models, and what runs at once:" help:"Leave out the built-in demo model."`
	DefaultModel string         `placeholder:"NAME" group:"Models, and what runs at once:" help:"Answers where a question of this node names no model. Default: the largest loaded, else the largest installed."`
	Slots        *int           `placeholder:"N" group:"Models, and what runs at once:" help:"Inference tasks that run at once. Default: 2."`
	Hold         *time.Duration `placeholder:"TIME" group:"Models, and what runs at once:" help:"How long a task may wait for a much better node that is busy, where another is idle; at most 2s, 0 for not at all. Counts at the queue host. Default: 500ms."`
	Reserved     *int           `placeholder:"N" group:"Models, and what runs at once:" help:"Slots of each node with two or more that batch work never takes; 0 for none. Counts at the queue host. Default: 1."`
	FirstToken   *time.Duration `name:"first-token-limit" placeholder:"TIME" group:"Models, and what runs at once:" help:"How long an engine may take to begin an answer before its task goes to another node. Default: by prompt and model, at least 2m."`
	Token        *time.Duration `name:"token-limit" placeholder:"TIME" group:"Models, and what runs at once:" help:"How long an engine may pause within an answer. Default: 30s."`
	Reattach     *time.Duration `name:"reattach-grace" placeholder:"TIME" group:"Models, and what runs at once:" help:"How long a task waits for a client over HTTP that has dropped and asked to come back; at most 1h. Default: 30s."`
	Closed       []string       `sep:"none" placeholder:"HOURS" group:"What the owner keeps:" help:"When this machine takes no tasks of other nodes: 22:00-07:00, or \"mon-fri 09:00-17:00\". Its own tasks run. Repeatable."`
	OnBattery    string         `placeholder:"WHAT" group:"What the owner keeps:" help:"What this machine does for others while it is on battery: use, last (what no other can do) or never. Default: last."`
	YieldGPU     bool           `name:"yield-gpu" group:"What the owner keeps:" help:"Take no tasks of other nodes while other programs use the GPU."`
	GroupAccess  bool           `group:"What the owner keeps:" help:"Let members of the group that mycod runs as use this node with myco, as its own user does."`
	NoFiles      bool           `group:"Documents, the web and plugins:" help:"Read no documents, for others or from here: another node does."`
	NoWeb        bool           `group:"Documents, the web and plugins:" help:"Fetch no pages of the web, for others or from here."`
	WebAllow     []string       `sep:"none" placeholder:"NETWORK" group:"Documents, the web and plugins:" help:"An address or a network of yours, such as 192.168.1.0/24, that every member may fetch pages from through this node. Public ones need none. Repeatable."`
	WebPort      []string       `sep:"none" placeholder:"PORT" group:"Documents, the web and plugins:" help:"A port that pages may be fetched from, beside 80 and 443. Repeatable."`
	Search       string         `placeholder:"URL" group:"Documents, the web and plugins:" help:"A SearXNG or searx of yours, by which this node searches the web for every member (docs/web.md). It goes with --no-web too, which is for pages."`
	Plugins      string         `placeholder:"DIR" group:"Documents, the web and plugins:" help:"Programs that do tasks of kinds of their own, a folder each (docs/plugins.md). Default: ~/.config/mycoswarm/plugins, if it is there."`
	NoPlugins    bool           `group:"Documents, the web and plugins:" help:"Run no plugins."`
	logFlags     `group:"Log:"`

	settings *settings // what Config says
}

// runCmd runs a node.
type runCmd struct{}

// Run implements the command.
func (runCmd) Run(ctx context.Context, s streams, c *runFlags) error {
	if err := c.refuseMisread(); err != nil {
		return c.settings.explain(err)
	}
	cfg := config.Config{
		DataDir: dataDir(c.DataDir), Name: c.Name, Version: shortVersion(),
		BusListen: c.BusListen, FabricListen: c.FabricListen, JoinListen: c.JoinListen, HTTPListen: c.HTTPListen, HTTPKey: c.HTTPKey,
		HTTPHosts: c.HTTPHost, HTTPOrigins: c.HTTPOrigin, OllamaListen: c.OllamaListen,
		HTTPSListen: c.HTTPSListen, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		Peers: c.Peer, NoMDNS: c.NoMDNS, Engines: c.Engine, EngineKeys: cmp.Or(c.EngineKeys, inConfigDir("engine-keys")), NoDemoEngine: c.NoDemoEngine, Slots: given(c.Slots), Hold: orNone(c.Hold), Reserved: orNone(c.Reserved),
		DefaultModel: c.DefaultModel, FirstTokenLimit: given(c.FirstToken), TokenLimit: given(c.Token), ReattachGrace: given(c.Reattach),
		Closed: c.Closed, OnBattery: c.OnBattery, YieldGPU: c.YieldGPU, GroupAccess: c.GroupAccess, NoFiles: c.NoFiles, ContextDir: contextDir(),
		NoWeb: c.NoWeb, WebAllow: c.WebAllow, WebPorts: c.WebPort, Search: c.Search, Reader: reader(),
		PluginDir: c.pluginDir(), Confiner: confiner(),
	}
	missing, err := c.checkPlugins()
	if err != nil {
		return c.settings.explain(err)
	}
	if c.Join != "" {
		token, err := identity.ReadToken(c.Join, input.Until(ctx, s.in), func(name string, limit int64) ([]byte, error) {
			return input.ReadFile(ctx, name, limit)
		})
		if ctx.Err() != nil {
			return bus.Errorf(bus.CodeCancelled, "interrupted")
		}
		if err != nil {
			return tokenError(err)
		}
		cfg.Join = token
	}
	log, err := c.open(s.err)
	if err != nil {
		return c.settings.explain(err)
	}
	defer log.close()
	log.takeLibraries()
	cfg.Log = log.place
	if c.settings != nil {
		log.Info("read settings", "file", c.settings.path, "set", slices.Sorted(maps.Keys(c.settings.values)))
	}
	if missing {
		log.Warn("the folder of plugins is not there, and none runs", "flag", "--plugins", "dir", c.Plugins)
	}
	if _, err := os.Stat(c.EngineKeys); c.EngineKeys != "" && errors.Is(err, fs.ErrNotExist) {
		log.Warn("the file of engines' keys is not there: none gets a key until it is", "flag", "--engine-keys", "file", c.EngineKeys)
	}
	d, err := daemon.New(cfg, daemon.Options{Logger: log.Logger, Out: s.out, OutIsKept: underSystemd() || os.Getenv(envNoPhrase) != ""})
	if err != nil {
		return c.settings.explain(err)
	}
	told, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		newSupervisor(log.Logger).run(told, d)
	}()
	defer func() {
		stop()
		<-ended
	}()
	return d.Run(ctx)
}

// given is the value of a flag; zero, which config.Config takes for the default, where there is none.
func given[T any](flag *T) (v T) {
	if flag != nil {
		v = *flag
	}
	return v
}

// orNone is given for a flag whose zero means none, which config.Config has a negative value for.
func orNone[N int | time.Duration](flag *N) N {
	if flag != nil && *flag == 0 {
		return -1
	}
	return given(flag)
}

// refuseMisread refuses what config.Config would take for something else: a zero for the default, and a negative value for
// none.
func (c *runFlags) refuseMisread() error {
	for _, f := range []struct {
		flag  string
		value *time.Duration
	}{{"first-token-limit", c.FirstToken}, {"token-limit", c.Token}, {"reattach-grace", c.Reattach}} {
		if f.value != nil && *f.value == 0 {
			return bus.Errorf(bus.CodeInvalid, "--%s 0s: want more than 0", f.flag).WithHint("mycod --%s 1m", f.flag)
		}
	}
	if c.Slots != nil && *c.Slots == 0 {
		return bus.Errorf(bus.CodeInvalid, "--slots 0: want 1 to 1024").WithHint("mycod --slots 2; one that takes no tasks of other nodes: mycod --closed 00:00-24:00")
	}
	if c.Reserved != nil && *c.Reserved < 0 {
		return bus.Errorf(bus.CodeInvalid, "--reserved %d: want 0 or more", *c.Reserved).WithHint("mycod --reserved 1; for none: mycod --reserved 0")
	}
	if c.Hold != nil && *c.Hold < 0 {
		return bus.Errorf(bus.CodeInvalid, "--hold %v: want 0s to 2s", *c.Hold).WithHint("mycod --hold 500ms; for none: mycod --hold 0s")
	}
	return nil
}

// pluginDir is the folder of plugins; empty for none.
func (c *runFlags) pluginDir() string {
	if c.NoPlugins {
		return ""
	}
	return cmp.Or(c.Plugins, inConfigDir("plugins"))
}

// checkPlugins refuses a --plugins that is no folder. One that is not there, as on a disk that comes later, keeps
// no node from its work: it is missing.
func (c *runFlags) checkPlugins() (missing bool, err error) {
	if c.Plugins == "" || c.NoPlugins {
		return false, nil
	}
	info, err := os.Stat(c.Plugins)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err == nil && info.IsDir():
		return false, nil
	case err == nil:
		err = errors.New("it is no folder")
	}
	return false, bus.Errorf(bus.CodeInvalid, "--plugins %q: %w", c.Plugins, err).WithHint("mycod --plugins DIR, a folder with one for each plugin")
}

// tokenError is a token that could not be read: a failure of its file, not of the command line.
func tokenError(err error) error {
	return bus.Errorf(bus.CodeForbidden, "%w", err).WithHint("run `myco invite` on a member of the swarm, then: mycod --join TOKEN")
}

// dataDir is what --data-dir says, else MYCO_DATA_DIR, else the directory that systemd made for a service;
// empty for the default one.
func dataDir(flag string) string {
	if flag != "" || os.Getenv(bus.EnvDataDir) != "" {
		return flag
	}
	return serviceDir("STATE_DIRECTORY")
}

// serviceDir is the directory that systemd made for this service and names in env, the first if there are
// several; empty without one. See "RuntimeDirectory=" in systemd.exec(5).
func serviceDir(env string) string {
	dir, _, _ := strings.Cut(os.Getenv(env), ":")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return dir
}

// contextDir is the folder of the NATS CLI's configuration; empty where nothing may be written.
func contextDir() string {
	if os.Getenv(envNoContext) != "" {
		return ""
	}
	home := configHome()
	if home == "" {
		return ""
	}
	return filepath.Join(home, "nats")
}

package daemon

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// hello tells a person what is running, what a firewall must let through, and how to go on.
func (d *Daemon) hello() {
	s := d.id.Swarm()
	members := len(d.id.Members())
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("mycod %s: node %s (%s)", d.cfg.Version, d.info.Name, d.info.NodeID)
	line("swarm:      %s (%.12s), %s", s.Name, s.ID, count(members, "member"))
	if q := d.swarm().QueueHost; q != "" {
		line("queue host: %s", d.nameOf(q))
	}
	if s.Revoked {
		line("            this node was put out of it, and is alone; a swarm of its own: %s leave", d.myco())
	}
	line("")
	line("  routes of other nodes  TCP %s", firewall(d.info.FabricAddr))
	line("  nodes that join        TCP %s", firewall(d.info.JoinAddr))
	if !d.cfg.NoMDNS {
		line("  mDNS                   UDP %s", firewall("0.0.0.0:5353"))
	}
	line("  NATS, this machine     %s", d.info.BusURL)
	line("  HTTP, this machine     %s (key in %s)", d.info.HTTPURL, bus.HTTPKeyFile)
	if d.info.OllamaURL != "" {
		line("  HTTP, as Ollama        %s", d.info.OllamaURL)
	}
	if d.info.HTTPSURL != "" {
		line("  HTTPS                  %s", d.info.HTTPSURL)
	}
	for _, l := range d.programListens() {
		if l.Others {
			line("  %-22s TCP %s", strings.TrimPrefix(l.What, "HTTP, as ")+", other machines", firewall(l.Addr))
		}
	}
	line("  chat, a browser        %s/ui/chat", d.info.HTTPURL)
	if url := d.urlForOthers(); url != "" {
		line("  chat, a phone          %s/ui/chat (key: %s key create --name phone)", url, d.myco())
	}
	line("  dashboard, a browser   %s/ui/", d.info.HTTPURL)
	line("  data                   %s", d.cfg.DataDir)
	line("")
	shown := s.Founder && members == 1 && !d.phraseShown() && d.helloFounder(line)
	myco := d.myco()
	line("ask:     %s ask \"What is the capital of France?\"", myco)
	if !s.Revoked {
		line("invite:  %s      then on the other machine: mycod --join TOKEN", d.inviteCommand())
	}
	if _, err := fmt.Fprint(d.out, b.String()); err != nil {
		d.log.Warn("tell what is running", "err", err)
	} else if shown {
		d.notePhraseShown()
	}
}

// inviteCommand is what makes a token, and where: only who holds the swarm's key can.
func (d *Daemon) inviteCommand() string {
	if d.id.Swarm().Founder {
		return d.myco() + " invite"
	}
	var holders []string
	for _, m := range d.id.Members() {
		if m.Holder {
			holders = append(holders, m.Name)
		}
	}
	if len(holders) == 0 {
		return fmt.Sprintf("%s nodes recover, with the recovery phrase; %[1]s invite", d.myco())
	}
	return "on " + strings.Join(holders, " or ") + ", myco invite"
}

// myco is how people reach this daemon with myco.
func (d *Daemon) myco() string {
	switch d.cfg.DataDir {
	case bus.DefaultDataDir():
		return "myco"
	case bus.SystemDataDir:
		return "sudo myco"
	default:
		return "myco --data-dir " + bus.ShellWord(d.cfg.DataDir)
	}
}

// phraseFile names the swarm whose recovery phrase was shown. A first start that failed has shown
// none, and who leaves a swarm founds another.
const phraseFile = "phrase.shown"

func (d *Daemon) phraseShown() bool {
	b, err := atomicfile.Read(filepath.Join(d.cfg.DataDir, phraseFile))
	return err == nil && strings.TrimSpace(string(b)) == string(d.id.Swarm().ID)
}

func (d *Daemon) notePhraseShown() {
	if err := writeFile(filepath.Join(d.cfg.DataDir, phraseFile), []byte(string(d.id.Swarm().ID)+"\n")); err != nil {
		d.log.Warn("note that the recovery phrase was shown", "err", err)
	}
}

// helloFounder shows, this once, what restores the swarm's key, and who else is near. It reports whether it shows that.
func (d *Daemon) helloFounder(line func(string, ...any)) (phraseShown bool) {
	if d.outIsKept {
		line("This node founded a swarm. Its recovery phrase is not for a log: %s rotate --swarm shows one.", d.myco())
		line("To join a swarm instead, run `myco invite` on a member of it, then here: %s join TOKEN", d.myco())
		line("")
		return false
	}
	phrase, err := d.id.RecoveryPhrase()
	if err != nil {
		d.log.Warn("show the recovery phrase", "err", err)
		return false
	}
	line("This node founded a swarm. Write down its recovery phrase, which brings back the swarm's key where this")
	line("machine is lost; it is not shown again:")
	line("  %s", phrase)
	line("")
	if d.cfg.NoMDNS {
		return true
	}
	near := d.nearby()
	if len(near) == 0 {
		line("To join a swarm instead, run `myco invite` on a member of it, then here: %s join TOKEN", d.myco())
		line("Swarms nearby are listed below, and by %s swarm, as they are heard.", d.myco())
		line("")
		return true
	}
	line("Swarms nearby; to join one, run `myco invite` there, then here: %s join TOKEN", d.myco())
	for _, n := range near {
		line("  %s", n)
	}
	line("")
	return true
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// firewall tells what others need of an address.
func firewall(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	switch {
	case err != nil:
		return addr
	case ap.Addr().IsLoopback():
		return addr + ", this machine only"
	case ap.Addr().IsUnspecified():
		return fmt.Sprintf("%-5d a firewall must let this through", ap.Port())
	}
	return addr + "  a firewall must let this through"
}

// nameOf is a node's name, or its id where it has none.
func (d *Daemon) nameOf(id bus.NodeID) string {
	for _, m := range d.id.Members() {
		if m.Node == id {
			return m.Name
		}
	}
	return string(id)
}

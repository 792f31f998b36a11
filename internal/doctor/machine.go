package doctor

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Bounds of the free disk.
const (
	// StoreNeeds is the room in bytes below which the store cannot be trusted to take what is
	// accepted: some blocks of its files, of 8 MiB each, and the largest payloads.
	StoreNeeds = 64 << 20
	// Below lowBytes there is little left, and below lowShare of the disk, unless that is as much as amply.
	lowShare = 0.10
	lowBytes = 2 << 30
	amply    = 20 << 30
)

// DirFacts describe a data directory.
type DirFacts struct {
	Path    string
	Missing bool
	// Error tells why it could not be looked at.
	Error string
	Mode  os.FileMode
	// ForGroup tells that the group may use the daemon, as of mycod --group-access: its credential is readable to it.
	ForGroup bool
	// Owner and User are user ids; both 0 where the system has none.
	Owner, User int
	// FreeBytes is what its user may still write, TotalBytes the size of the disk; both 0 where
	// they are not known.
	FreeBytes, TotalBytes uint64
}

func directory(d DirFacts) Check {
	c := Check{Name: "data directory", Status: OK, Detail: d.Path}
	switch {
	case d.Missing:
		c.Detail += " is not there yet: the first start of mycod makes it"
	case d.Error != "":
		c.Status, c.Detail = Fail, d.Path+" cannot be used: "+d.Error
		c.Hint = "give it to the user that runs mycod, or use another: mycod --data-dir DIR"
	case !d.Mode.IsDir():
		c.Status, c.Detail = Fail, d.Path+" is not a directory"
		c.Hint = "use another: mycod --data-dir DIR"
	case d.Path == bus.SystemDataDir && d.Mode.Perm()&0o027 == 0:
		c.Detail += fmt.Sprintf(", mode %04o, of the machine's service", d.Mode.Perm())
	case d.ForGroup && d.Mode.Perm() == 0o750:
		c.Detail += fmt.Sprintf(", mode %04o, for the group too (--group-access)", d.Mode.Perm())
	case d.Owner != d.User && d.User != 0:
		c.Status = Warn
		c.Detail = fmt.Sprintf("%s belongs to user id %d, and this is user id %d", d.Path, d.Owner, d.User)
		c.Hint = "run mycod and myco as one user"
	case d.Mode.Perm()&0o077 != 0:
		c.Status = Warn
		c.Detail = fmt.Sprintf("%s is open to other users (mode %04o), and holds keys and tasks", d.Path, d.Mode.Perm())
		c.Hint = closeDir(d.Path)
	default:
		c.Detail += fmt.Sprintf(", mode %04o", d.Mode.Perm())
	}
	return c
}

// ownersUse tells what its owner's use leaves of this machine: as the owner wants it, and no fault.
func ownersUse(d bus.Diagnosis) []Check {
	switch {
	case d.Owner.String() == "":
		return nil
	case d.Owner.Closed:
		return []Check{{"owner", OK, "this machine is " + d.Owner.String() + ": it runs its own tasks, and none of other nodes (--closed, --on-battery, --yield-gpu)", ""}}
	}
	return []Check{{"owner", OK, "this machine is " + d.Owner.String() + ": others work rather than it", ""}}
}

// drained tells that this node was told to take no more work, which is easily forgotten.
func drained(d bus.Diagnosis) []Check {
	if !d.Draining {
		return nil
	}
	return []Check{{"drain", Warn, "this node was told to take no more work: what it alone has a model for is refused, or waits", "myco drain " + d.Name + " --off; its next start ends it, too"}}
}

// plugins tells of those that take no tasks, and how many do.
func plugins(d bus.Diagnosis) (out []Check) {
	if e := d.PluginsError; e != nil {
		out = append(out, Check{"plugins", Warn, "their folder is not followed, and what changes there does not count: " + e.Message, e.Hint})
	}
	well := 0
	for _, p := range d.Plugins {
		if p.Error == nil {
			well++
			continue
		}
		out = append(out, Check{"plugin " + p.Name, Warn, "it takes no tasks: " + p.Error.Message, p.Error.Hint})
	}
	if well > 0 {
		out = append(out, Check{"plugins", OK, count(well, "plugin") + ": myco plugins", ""})
	}
	return out
}

// reading tells what the process that reads foreign pages and documents may do here that it should not.
func reading(d bus.Diagnosis) []Check {
	if d.Unconfined == "" {
		return nil
	}
	may := "has the files and the network of mycod"
	switch {
	case d.Filtered:
		may = "has no network and starts no programs, but has the files of mycod, its keys among them, to read and to change"
	case d.Hidden:
		may = "sees no files, but has the network of mycod, and reaches other programs of its user"
	}
	hint := "leave these to other nodes: mycod --no-files --no-web"
	if d.UnconfinedHint != "" {
		hint = d.UnconfinedHint + "; or " + hint
	}
	return []Check{{"documents", Warn, "what reads pages and documents here " + may + ", where one that was made for it takes it over: " + d.Unconfined, hint}}
}

// logs tells where the daemon's log is, where it knows.
func logs(d bus.Diagnosis) []Check {
	if d.Log == "" {
		return nil
	}
	return []Check{{"log", OK, d.Log, ""}}
}

func disk(d DirFacts) Check {
	c := Check{Name: "disk", Status: OK}
	if d.TotalBytes == 0 {
		c.Detail = "its size is not known"
		return c
	}
	share := float64(d.FreeBytes) / float64(d.TotalBytes)
	c.Detail = fmt.Sprintf("%s of %s free at %s", size(d.FreeBytes), size(d.TotalBytes), d.Path)
	switch {
	case d.FreeBytes < StoreNeeds:
		c.Status = Fail
		c.Detail += fmt.Sprintf("; the store needs %s", size(StoreNeeds))
	case d.FreeBytes < lowBytes, d.FreeBytes < amply && share < lowShare:
		c.Status = Warn
		c.Detail += fmt.Sprintf("; that is little (%.0f %%)", 100*share)
	default:
		return c
	}
	c.Hint = "make room there, or move the data: mycod --data-dir DIR"
	return c
}

func size(b uint64) string {
	const gib, mib = 1 << 30, 1 << 20
	if b >= gib {
		return fmt.Sprintf("%.1f GiB", float64(b)/gib)
	}
	return fmt.Sprintf("%.0f MiB", float64(b)/mib)
}

// ports judges what a daemon would find when it starts.
func ports(f Facts) Check {
	var taken []string
	for _, p := range f.Ports {
		if p.Error != "" {
			taken = append(taken, fmt.Sprintf("%s for %s", p.Addr, p.What))
		}
	}
	if len(taken) == 0 {
		return Check{"ports", OK, "those that mycod takes by default are free", ""}
	}
	if slices.ContainsFunc(f.Ports, func(p PortFacts) bool { return p.Node }) {
		return Check{"ports", OK, "taken by the other daemon: " + some(taken) + "; a second one takes the next free ones", ""}
	}
	return Check{
		"ports", Warn, "taken by another program: " + some(taken) + "; mycod takes the next free ones, and others do not find it there without mDNS",
		"stop that program, or choose: mycod --fabric-listen HOST:PORT",
	}
}

func store(d bus.Diagnosis) Check {
	switch {
	case !d.Store.Linked:
		return Check{"store", Fail, "it is not connected to the daemon's own fabric: nothing durable is accepted", "look at the log of mycod, and start it anew"}
	case d.Store.Unreadable > 0:
		return Check{
			"store", Warn, fmt.Sprintf("%s could not be read back at the last start: the disk or a file in %s is damaged; other nodes may hold copies", count(int(d.Store.Unreadable), "message"), d.DataDir),
			"check the disk; myco task ls shows what the swarm still knows",
		}
	}
	return Check{"store", OK, "open, and nothing was missing at the last start", ""}
}

// firewall tells which ports others need: from inside, a firewall cannot be seen.
func firewall(d bus.Diagnosis) Check {
	var open, silent []string
	for _, l := range d.Listens {
		if _, port, err := net.SplitHostPort(l.Addr); err == nil && l.Others {
			open = append(open, fmt.Sprintf("%s %s (%s)", strings.ToUpper(l.Net), port, l.What))
		}
	}
	if len(open) == 0 {
		return Check{"firewall", OK, "nothing of this node is for other machines", ""}
	}
	for _, p := range d.Peers {
		timeouts := 0
		for _, x := range p.Dials {
			if x.Result == bus.DialTimeout {
				timeouts++
			}
		}
		if timeouts > 0 && timeouts == len(p.Dials) && !p.Left {
			silent = append(silent, who(p.Name, p.NodeID))
		}
	}
	need := "a firewall must let in " + strings.Join(open, ", ")
	if len(silent) > 0 {
		return Check{"firewall", Warn, need + "; packets to " + some(silent) + " are lost without an answer, as a firewall does it", "check the firewall there"}
	}
	return Check{"firewall", OK, need, ""}
}

// engines judges each engine; without any, that. pull is the command for one without a model.
func engines(found []bus.EngineDiagnosis, demo bool, pull string) []Check {
	var out []Check
	up := false
	for _, e := range found {
		up = up || e.Kind != ""
	}
	if i := slices.IndexFunc(found, func(e bus.EngineDiagnosis) bool { return e.KeyFile != "" }); i >= 0 { // one for all of them
		out = append(out, Check{
			"engine", Warn, "the file of engines' keys cannot be used: " + found[i].KeyFile,
			"mend the file, see docs/install.md: mycod reads it again within seconds",
		})
	}
	for _, e := range found {
		c := Check{Name: "engine", Status: OK}
		if e.PlainKey {
			out = append(out, Check{
				"engine", Warn, fmt.Sprintf("the key of %s at %s crosses public networks unencrypted, where others can read it", e.Kind, e.URL),
				"name the engine by https, or reach it over a VPN",
			})
		}
		if e.Kind != "" && e.Error != "" {
			out = append(out, Check{"engine", Fail, e.Error, e.Hint})
		}
		switch {
		case e.Kind != "" && len(e.Open) > 0:
			out = append(out, Check{"engine", OK, engineUp(e), ""})
			c.Status = Warn
			c.Detail = fmt.Sprintf("%s at %s answers everybody on the network, at %s: whoever reaches it uses it past the swarm, without a key", e.Kind, e.URL, some(e.Open))
			c.Hint = closeEngine(e.Kind)
		case e.Kind != "":
			c.Detail = engineUp(e)
			if len(e.Models) == 0 {
				c.Status, c.Detail, c.Hint = Warn, c.Detail+", and has no model", pull
			}
		case e.Hung:
			c.Status = Fail
			c.Detail = fmt.Sprintf("what listens at %s takes connections and does not answer: it hangs", e.URL)
			c.Hint = "start it anew"
		case e.Asked && e.Hint != "":
			c.Status, c.Detail, c.Hint = Fail, e.Error, e.Hint
		case e.Asked && e.Swarm:
			c.Status, c.Detail, c.Hint = Fail, e.Error, "mycod finds other nodes by itself: take this from its command line, or from config.toml: --engine "+e.URL
		case e.Asked:
			c.Status, c.Detail, c.Hint = Fail, e.Error, "start it, or take this from the command line of mycod, or from config.toml: --engine "+e.URL
		case up:
			continue // nobody said that there is one
		default:
			c.Status, c.Detail, c.Hint = Warn, "there is none: "+e.Error, cmp.Or(e.Hint, "ollama serve, or: mycod --engine URL")
			if e.Swarm {
				c.Hint = "have Ollama listen elsewhere: OLLAMA_HOST=127.0.0.1:11435 ollama serve; and then: mycod --engine http://127.0.0.1:11435"
			}
			if demo {
				c.Detail += "; the built-in demo answers"
			}
		}
		out = append(out, c)
	}
	return out
}

// defaultModel tells of a model that is to answer, and that no node has.
func defaultModel(d bus.Diagnosis) []Check {
	if d.DefaultModel == nil {
		return nil
	}
	return []Check{{
		"default model", Warn,
		fmt.Sprintf("no node has %s, which mycod --default-model names here: questions that name no model go to another, if there is one", d.DefaultModel.Model),
		d.DefaultModel.Pull,
	}}
}

// search judges the search engine that the owner has named. That some engines behind it are silent is the rule.
func search(d bus.Diagnosis) []Check {
	s := d.Search
	if s == nil {
		return nil
	}
	c := Check{Name: "search", Status: OK, Detail: fmt.Sprintf("the search engine at %s finds pages", s.URL)}
	switch {
	case s.Error != nil:
		c.Status, c.Detail, c.Hint = Fail, s.Error.Message, s.Error.Hint
		if !strings.Contains(c.Detail, s.URL) {
			c.Detail = fmt.Sprintf("the search engine at %s: %s", s.URL, strings.TrimPrefix(c.Detail, "the search engine "))
		}
	case s.Found == 0:
		c.Status, c.Detail = Warn, fmt.Sprintf("the search engine at %s answers, and finds nothing", s.URL)
	}
	if len(s.Silent) > 0 {
		c.Detail += "; no answer from " + strings.Join(s.Silent, ", ")
	}
	switch {
	case c.Status == OK || c.Hint != "":
	case s.Found == 0 && s.Error == nil || len(s.Silent) > 0:
		c.Hint = "turn on engines that answer, in its settings.yml, and start it anew; a search in a browser tells what each says"
	default:
		c.Hint = "start it, or have mycod --search name where it is"
	}
	return []Check{c}
}

func engineUp(e bus.EngineDiagnosis) string {
	s := fmt.Sprintf("%s at %s is up", e.Kind, e.URL)
	if len(e.Models) > 0 {
		s += ": " + some(e.Models)
	}
	return s
}

// closeEngine is how an engine is bound to loopback.
func closeEngine(kind string) string {
	if kind == "ollama" {
		return "stop it, and start it on loopback alone: OLLAMA_HOST=127.0.0.1:11434 ollama serve (as a service: systemctl edit ollama, Environment=OLLAMA_HOST=127.0.0.1:11434)"
	}
	return "start it on loopback alone, with its --host 127.0.0.1"
}

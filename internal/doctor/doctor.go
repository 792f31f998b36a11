// Package doctor judges the facts that `myco doctor` gathered: what is well, what is not, and what
// to do about it. It owns the judgement and its words. It looks at nothing itself, apart from Dir,
// which looks at a data directory; the rest is the daemon's (bus.Diagnosis) and the CLI's.
package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Status is how well something is.
type Status string

// The statuses, the best first.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	// Hint is what to do; empty where all is well.
	Hint string `json:"hint,omitempty"`
}

// Report is what came out. OK is set where nothing failed; warnings do not count.
type Report struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
}

// Worst returns the worst status of all.
func (r Report) Worst() Status {
	worst := OK
	for _, c := range r.Checks {
		if c.Status == Fail || c.Status == Warn && worst == OK {
			worst = c.Status
		}
	}
	return worst
}

// Facts are what is judged.
type Facts struct {
	// Start is the command that starts the daemon.
	Start string
	Dir   DirFacts
	// Daemon is nil where the daemon could not be asked; DaemonError then tells why, and Known
	// that it left a file which names it.
	Daemon      *bus.Diagnosis
	DaemonError *bus.Error
	Known       bool
	// PID is the process that this file names; 0 for none.
	PID int
	// Engines are those found without a daemon.
	Engines []bus.EngineDiagnosis
	// Ports are looked at without a daemon.
	Ports []PortFacts
}

// PortFacts tell whether a port that the daemon takes by default is free.
type PortFacts struct {
	What, Addr string
	Error      string // empty where it is free
	// Node is set where a daemon answers there: of another user, or with another data directory.
	Node bool
}

// Examine judges all facts.
func Examine(f Facts) Report {
	var all []Check
	all = append(all, daemon(f), directory(f.Dir), disk(f.Dir))
	if f.Daemon == nil {
		all = append(all, ports(f))
		all = append(all, engines(f.Engines, false, "ollama pull gemma3:1b")...)
	} else {
		d := *f.Daemon
		all = append(all, store(d), identity(d))
		all = append(all, logs(d)...)
		all = append(all, peers(d)...)
		all = append(all, static(d)...)
		all = append(all, links(d)...)
		all = append(all, mdns(d), firewall(d))
		all = append(all, https(d)...)
		all = append(all, engines(d.Engines, d.Demo, "myco pull gemma3:1b --node "+d.Name)...)
		all = append(all, defaultModel(d)...)
		all = append(all, search(d)...)
		all = append(all, plugins(d)...)
		all = append(all, reading(d)...)
		all = append(all, ownersUse(d)...)
		all = append(all, drained(d)...)
		all = append(all, versions(d), clocks(d), queues(d))
		all = append(all, nearby(d)...)
		for _, x := range d.Failed {
			all = append(all, Check{"daemon", Warn, fmt.Sprintf("it cannot tell of %s: %s", x.What, x.Error), "look at the log of mycod"})
		}
	}
	r := Report{Checks: all}
	r.OK = r.Worst() != Fail
	return r
}

func daemon(f Facts) Check {
	if f.Daemon != nil {
		d := f.Daemon
		return Check{"daemon", OK, fmt.Sprintf("mycod %s answers: node %s (%s), swarm %s", d.Version, d.Name, d.NodeID, d.Swarm.Name), ""}
	}
	c := Check{"daemon", Fail, "it is not running", f.Start}
	e := f.DaemonError
	other := slices.IndexFunc(f.Ports, func(p PortFacts) bool { return p.Node })
	switch {
	case other >= 0 && !f.Known && (e == nil || e.Code == bus.CodeUnavailable):
		c.Detail = fmt.Sprintf("none of this user with this data directory is running, but another answers at %s", f.Ports[other].Addr)
		c.Hint = "run myco as the user that runs it, or with its --data-dir; a second one: " + f.Start
	case e == nil, e.Code == bus.CodeUnavailable && !f.Known:
	case e.Code == bus.CodeTimeout:
		c.Detail, c.Hint = "it is there and does not answer: "+e.Message, "look at its log, and start it anew: "+f.Start
		if f.PID > 0 { // until that has ended, another is refused
			c.Hint = fmt.Sprintf("look at its log, end process %d, and start it anew: %s", f.PID, f.Start)
		}
	case e.Code == bus.CodeForbidden:
		c.Detail, c.Hint = e.Message, e.Hint
	case f.Known:
		c.Detail = "it is not running, and did not stop in good order: " + e.Message
	default:
		c.Detail += ": " + e.Message
	}
	return c
}

// count is "1 node", "2 nodes".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// some joins at most three of words.
func some(words []string) string {
	const most = 3
	if len(words) > most {
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
	}
	return strings.Join(words, ", ")
}

// who names a node for people.
func who(name string, id bus.NodeID) string {
	if name == "" || name == string(id) {
		return string(id)
	}
	return fmt.Sprintf("%s (%s)", name, id)
}

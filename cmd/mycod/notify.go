package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Times of supervisor.
const (
	// aliveEvery is how often the daemon is asked where no watchdog wants it more often.
	aliveEvery = 15 * time.Second
	// A watchdog hears of the daemon alivePart times in its time at least, and each question may take all
	// of the rest: a machine whose engine uses all cores is slow, and not dead.
	alivePart = 4
	// A start that takes long, as the reading of a large store does, is told of every startEvery, and systemd has startMore
	// of patience again each time; from startMost on its own TimeoutStartSec holds.
	startEvery = 30 * time.Second
	startMore  = 2 * time.Minute
	startMost  = time.Hour
)

// running is what a supervisor wants of a daemon.
type running interface {
	Ready() <-chan struct{}
	Alive(ctx context.Context) (bus.Status, error)
}

// supervisor tells systemd how the daemon is, by the protocol of sd_notify(3): READY once it answers
// itself over its bus, WATCHDOG each time that it did so again, STATUS for people, and STOPPING. Where
// no systemd listens it does nothing.
type supervisor struct {
	log *slog.Logger
	// watchdog is how long systemd waits for a word; 0 for ever.
	watchdog time.Duration
	// send reports whether somebody listens.
	send func(state string) (bool, error)

	said string // the last STATUS
}

func newSupervisor(log *slog.Logger) *supervisor {
	limit, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("read what systemd's watchdog wants", "err", err)
	}
	return &supervisor{log: log, watchdog: limit, send: func(state string) (bool, error) { return systemd.SdNotify(false, state) }}
}

// run tells of d until ctx ends: the daemon was told to stop, or has ended.
func (s *supervisor) run(ctx context.Context, d running) {
	if !s.starts(ctx, d) {
		return
	}
	if listens, err := s.send("STATUS=answers; asking itself over its bus"); !listens {
		if err != nil {
			s.log.Warn("tell systemd of this daemon", "err", err)
		}
		return
	}
	every, limit := aliveEvery, aliveEvery
	if s.watchdog > 0 {
		every = min(every, s.watchdog/alivePart)
		limit = s.watchdog - every
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	ready := false
	for {
		if s.look(ctx, d, limit, !ready) {
			ready = true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.tell("STOPPING=1\nSTATUS=finishing what runs here")
			return
		}
	}
}

// starts waits until the daemon is ready, and reports whether it is. A start that was ended for its length would take as long
// again.
func (s *supervisor) starts(ctx context.Context, d running) bool {
	began := time.Now()
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.Ready():
			return true
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		took := time.Since(began).Round(time.Second)
		s.log.Info("still starting; a large store takes a while to read, and a slow disk to write", "for", took)
		if took < startMost {
			s.tell(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d\nSTATUS=starting, for %v", startMore.Microseconds(), took))
		}
	}
}

// look asks the daemon once, and passes its answer on; it reports whether there was one.
func (s *supervisor) look(ctx context.Context, d running, limit time.Duration, first bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, err := d.Alive(ctx)
	if err != nil {
		if ctx.Err() == nil || errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			s.log.Warn("the daemon does not answer itself", "within", limit, "err", err)
		}
		return false
	}
	state := ""
	if first {
		state = systemd.SdNotifyReady + "\n"
	}
	if s.watchdog > 0 {
		state += systemd.SdNotifyWatchdog + "\n"
	}
	if line := statusLine(status); line != s.said {
		s.said = line
		state += "STATUS=" + line
	}
	if state != "" {
		s.tell(state)
	}
	return true
}

func (s *supervisor) tell(state string) {
	if _, err := s.send(state); err != nil {
		s.log.Warn("tell systemd of this daemon", "err", err)
	}
}

// tellWhy tells systemd why this process ends.
func tellWhy(err error) {
	line := strings.Join(strings.Fields(err.Error()), " ")
	_, _ = systemd.SdNotify(false, "STATUS=failed: "+line) // it is on standard error as well
}

// statusLine says on one line how the swarm is, as seen from here: it is on `systemctl status`.
func statusLine(s bus.Status) string {
	here, busy := 0, 0
	host := ""
	for _, n := range s.Nodes {
		if n.State != bus.NodeLost {
			here++
		}
		busy += n.Busy
		if n.QueueHost {
			host = n.Name
		}
	}
	line := fmt.Sprintf("swarm %s: %d of %s here", s.Swarm.Name, here, count(len(s.Nodes), "node"))
	line += fmt.Sprintf("; %d of %s at work on this one, %d in the swarm", s.Node.Busy, count(s.Node.Slots, "slot"), busy)
	if host != "" {
		line += "; queue host " + host
	}
	if s.Revoked != nil {
		line += "; this node was put out of its swarm"
	}
	if s.Node.DiskFull {
		line += "; its disk is full"
	}
	return line
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

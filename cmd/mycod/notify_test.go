package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// patient is a daemon that answers as it is told.
type patient struct {
	ready chan struct{}
	mu    sync.Mutex
	hangs bool
	fails bool
}

func (p *patient) Ready() <-chan struct{} { return p.ready }

func (p *patient) set(hangs, fails bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangs, p.fails = hangs, fails
}

func (p *patient) Alive(ctx context.Context) (bus.Status, error) {
	p.mu.Lock()
	hangs, fails := p.hangs, p.fails
	p.mu.Unlock()
	switch {
	case hangs:
		<-ctx.Done()
		return bus.Status{}, ctx.Err()
	case fails:
		return bus.Status{}, errors.New("no route")
	}
	me := bus.NodeInfo{ID: "a", Name: "alder", State: bus.NodeReady, Slots: 2, Busy: 1, QueueHost: true}
	return bus.Status{Node: me, Swarm: bus.SwarmInfo{Name: "home"}, Nodes: []bus.NodeInfo{me, {ID: "b", Name: "birch", State: bus.NodeLost}}}, nil
}

// manager is what systemd hears.
type manager struct {
	mu   sync.Mutex
	said []string
}

func (m *manager) send(state string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said = append(m.said, state)
	return true, nil
}

// take returns what was heard since, and forgets it.
func (m *manager) take() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := strings.Join(m.said, "\n")
	m.said = nil
	return all
}

// systemd hears that a daemon is ready, and that it is alive, only while it answers itself.
func TestSupervisor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, m := &patient{ready: make(chan struct{})}, &manager{}
		s := &supervisor{log: slog.New(slog.DiscardHandler), watchdog: 60 * time.Second, send: m.send}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.run(ctx, d)
		}()
		heard := func(after time.Duration, what string, want, not []string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			got := m.take()
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("%s: systemd heard %q, want %q in it", what, got, w)
				}
			}
			for _, n := range not {
				if strings.Contains(got, n) {
					t.Errorf("%s: systemd heard %q, and %q is not true", what, got, n)
				}
			}
		}
		heard(20*time.Second, "in a start as usual", nil, []string{"EXTEND"})
		heard(40*time.Second, "before it is up", []string{"EXTEND_TIMEOUT_USEC=120000000\nSTATUS=starting, for 1m0s"}, []string{"READY", "WATCHDOG"})
		heard(59*time.Minute, "in a long start", []string{"STATUS=starting, for 59m30s"}, []string{"for 1h"})
		heard(time.Hour, "in a start that hangs", nil, []string{"EXTEND"})
		d.set(false, true)
		close(d.ready)
		heard(time.Minute, "while it does not answer", nil, []string{"READY", "WATCHDOG"})
		d.set(false, false)
		heard(16*time.Second, "once it answers", []string{
			"READY=1", "WATCHDOG=1",
			"STATUS=swarm home: 1 of 2 nodes here; 1 of 2 slots at work on this one, 1 in the swarm; queue host alder",
		}, nil)
		heard(50*time.Second, "in a minute", []string{"WATCHDOG=1"}, []string{"READY", "STATUS"})
		d.set(true, false)
		heard(16*time.Second, "when it hangs", nil, []string{"WATCHDOG"})
		heard(2*time.Minute, "while it hangs", nil, []string{"WATCHDOG"})
		d.set(false, false)
		heard(time.Minute, "when it answers again", []string{"WATCHDOG=1"}, []string{"READY"})
		stop()
		heard(0, "when it stops", []string{"STOPPING=1"}, []string{"WATCHDOG"})
		<-ended
	})
}

//go:build linux

package lab

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// due is what ends an act.
type due struct {
	at  time.Time
	end func()
}

// maxHurt is how many nodes are hurt at one time, of five.
const maxHurt = 2

// Run carries out steps, and returns when all that they did is over: every node runs, and every
// link is up. It belongs to the test's goroutine. more is asked before each step whether to go on;
// nil means always.
func (c *Crew) Run(steps []Step, more func() bool) {
	c.t.Helper()
	for _, s := range steps {
		if more != nil && !more() {
			break
		}
		c.until(time.Now().Add(s.After))
		c.act(s)
	}
	for len(c.due) > 0 {
		c.until(c.due[0].at)
	}
	for _, m := range c.Members {
		c.back(m)
	}
}

// back waits until m is well, once nothing more is to be done to it.
func (c *Crew) back(m *Member) {
	c.t.Helper()
	harness.Poll(c.t, harness.Patience, m.Name+" is back", func() string { return string(m.doing()) })
}

// until waits, and ends what is over by then.
func (c *Crew) until(at time.Time) {
	for {
		next := at
		if len(c.due) > 0 && c.due[0].at.Before(at) {
			next = c.due[0].at
		}
		timer := time.NewTimer(time.Until(next))
		<-timer.C
		if len(c.due) > 0 && !c.due[0].at.After(next) {
			end := c.due[0].end
			c.due = c.due[1:]
			end()
			continue
		}
		if next.Equal(at) {
			return
		}
	}
}

func (c *Crew) later(d time.Duration, end func()) {
	c.due = append(c.due, due{time.Now().Add(d), end})
	slices.SortStableFunc(c.due, func(a, b due) int { return a.at.Compare(b.at) })
}

// pick chooses a member that is well, once there is room for one more that is hurt.
func (c *Crew) pick(n int) *Member {
	for {
		var well []*Member
		for _, m := range c.Members {
			if m.Well() {
				well = append(well, m)
			}
		}
		if len(well) > max(len(c.Members)-maxHurt, 1) {
			return well[n%len(well)]
		}
		c.until(time.Now().Add(harness.Every))
	}
}

func (c *Crew) act(s Step) {
	c.t.Helper()
	switch s.Act {
	case Cut:
		c.partition(s)
		return
	case Host:
		c.pick(s.Pick) // there is room
		if h := c.Host(); h != nil && h.Well() {
			c.kill(h, s)
			return
		}
	}
	m := c.pick(s.Pick)
	switch s.Act {
	case Freeze:
		c.freeze(m, s)
	case Unplug:
		c.unplug(m, s)
	case Leave:
		if m == c.Members[0] { // it holds the key that invites
			c.kill(m, s)
			return
		}
		c.leave(m, s)
	case Stop:
		c.stopMember(m, s)
	case Revoke:
		c.revoke(m, s)
	default:
		c.kill(m, s)
	}
}

func (c *Crew) kill(m *Member, s Step) {
	m.set(Kill)
	if s.Act == Host {
		c.Book.Hurt("", Host) // counted
	}
	c.Book.Hurt(m.Name, Kill)
	m.Kill()
	over := c.Book.Hurt(m.Name, Stop) // until it is up again, for its clients
	c.later(s.Lasts, func() { c.revive(m, over) })
}

// revive starts a node again; it is well once its client has found it.
func (c *Crew) revive(m *Member, over func()) {
	c.t.Helper()
	c.gone = append(c.gone, m.Process)
	m.Launch(c.t, m.Flags...)
	c.wg.Go(func() {
		tick := time.NewTicker(harness.Every)
		defer tick.Stop()
		for {
			ctx, cancel := context.WithTimeout(c.ctx, time.Second)
			_, err := m.Conn.Ping(ctx)
			cancel()
			if err == nil {
				over()
				m.set("")
				return
			}
			select {
			case <-tick.C:
			case <-c.ctx.Done():
				return
			}
		}
	})
}

func (c *Crew) freeze(m *Member, s Step) {
	c.t.Helper()
	m.set(Freeze)
	over := c.Book.Hurt(m.Name, Freeze)
	if err := m.Freeze(); err != nil {
		c.t.Errorf("freeze %s: %v", m.Name, err)
	}
	c.later(s.Lasts, func() {
		if err := m.Thaw(); err != nil {
			c.t.Errorf("thaw %s: %v", m.Name, err)
		}
		over()
		m.set("")
	})
}

func (c *Crew) unplug(m *Member, s Step) {
	c.t.Helper()
	over := c.Unplug(m)
	c.later(s.Lasts, over)
}

// Unplug takes m's link down until plug is called.
func (c *Crew) Unplug(m *Member) (plug func()) {
	c.t.Helper()
	m.set(Unplug)
	over := c.Book.Hurt(m.Name, Unplug)
	if err := m.Host.Plug(c.ctx, false); err != nil {
		c.t.Errorf("unplug %s: %v", m.Name, err)
	}
	return func() {
		c.t.Helper()
		if err := m.Host.Plug(c.ctx, true); err != nil {
			c.t.Errorf("plug %s: %v", m.Name, err)
		}
		over()
		m.set("")
	}
}

// partition cuts the crew in two, unless it is cut already.
func (c *Crew) partition(s Step) {
	c.t.Helper()
	if c.cut {
		return
	}
	c.cut = true
	c.Divide(s.Group, true)
	var over []func()
	for _, m := range c.Members {
		over = append(over, c.Book.Hurt(m.Name, Cut))
	}
	c.later(s.Lasts, func() {
		c.Divide(s.Group, false)
		for _, f := range over {
			f()
		}
		c.cut = false
	})
}

// Divide cuts the members in group, as bits, from the others, or lets them meet again.
func (c *Crew) Divide(group uint, cut bool) {
	c.t.Helper()
	for i, a := range c.Members {
		for j, b := range c.Members {
			if group&(1<<i) != 0 && group&(1<<j) == 0 {
				if err := a.Host.Cut(c.ctx, b.Host, cut); err != nil {
					c.t.Errorf("cut %s from %s: %v", a.Name, b.Name, err)
				}
			}
		}
	}
}

// leave takes m out of the swarm, by its own user.
func (c *Crew) leave(m *Member, s Step) {
	c.t.Helper()
	m.set(Leave)
	over := c.Book.Hurt(m.Name, Leave)
	ctx, cancel := context.WithTimeout(c.ctx, harness.Patience)
	defer cancel()
	if _, err := m.Conn.Leave(ctx); err != nil {
		c.t.Errorf("%s leaves: %v", m.Name, err)
	}
	c.later(s.Lasts, func() {
		c.join(m)
		over()
		m.set("")
	})
}

// join takes m in again, by the first.
func (c *Crew) join(m *Member) {
	c.t.Helper()
	harness.Poll(c.t, harness.Patience, m.Name+" joins again", func() string {
		ctx, cancel := context.WithTimeout(c.ctx, 15*time.Second)
		defer cancel()
		inv, err := c.Members[0].Conn.Invite(ctx, 0)
		if err == nil {
			_, err = m.Conn.Join(ctx, inv.Token)
		}
		if err != nil {
			for len(c.due) > 0 { // perhaps what is done to others is in the way
				c.until(c.due[0].at)
			}
			return err.Error()
		}
		return ""
	})
}

// revoke has the first put m out, for good. Once m knows it, another machine takes its place: what m
// had submitted lives on in the other copies.
func (c *Crew) revoke(m *Member, s Step) {
	c.t.Helper()
	for m == c.Members[0] || !m.Well() { // the first holds the key
		s.Pick++
		m = c.pick(s.Pick)
	}
	m.set(Revoke)
	for !c.Members[0].Well() {
		c.until(time.Now().Add(harness.Every))
	}
	c.Book.Hurt(m.Name, Revoke) // it is never over
	ctx, cancel := context.WithTimeout(c.ctx, harness.Patience)
	defer cancel()
	if _, err := c.Members[0].Conn.Revoke(ctx, m.Info.NodeID); err != nil {
		c.t.Errorf("put out %s: %v", m.Name, err)
	}
	c.later(s.Lasts, func() { c.putOut(m) })
}

// putOut waits until m knows that it is out, stops it, and has a new machine join.
func (c *Crew) putOut(m *Member) {
	c.t.Helper()
	for (c.cut || !c.Members[0].Well()) && len(c.due) > 0 { // the news, and the new one, need a way
		c.until(c.due[0].at)
	}
	c.back(c.Members[0]) // one that was started again is well once its client has found it
	harness.Poll(c.t, harness.Patience, m.Name+" knows that it is out", func() string {
		ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
		defer cancel()
		st, err := m.Conn.Status(ctx)
		// One that had no route at that moment is refused from then on, and says so.
		if err != nil || st.Revoked == nil && len(st.RefusedBy) == 0 {
			return fmt.Sprintf("%+v %v", st, err)
		}
		return ""
	})
	m.Stop(c.t)
	c.gone = append(c.gone, m.Process)
	i := c.Index(m)
	another := c.add()
	c.taken.Lock()
	c.Members[i] = another
	c.taken.Unlock()
	c.wg.Go(func() { c.observe(another) })
}

// stopMember ends m's daemon in good order, and starts it again.
func (c *Crew) stopMember(m *Member, s Step) {
	c.t.Helper()
	m.set(Stop)
	over := c.Book.Hurt(m.Name, Stop)
	m.Stop(c.t)
	c.later(s.Lasts, func() { c.revive(m, over) })
}

// Halt stops m in good order until back is called, which returns once m is up again.
func (c *Crew) Halt(m *Member) (back func()) {
	c.t.Helper()
	m.set(Stop)
	over := c.Book.Hurt(m.Name, Stop)
	m.Stop(c.t)
	return func() {
		c.t.Helper()
		c.revive(m, over)
		harness.Poll(c.t, harness.Patience, m.Name+" is back", func() string { return string(m.doing()) })
		m.Up(c.t)
	}
}

// Replace stops m in good order and starts it with other programs on the same data directory; it
// returns once m is back.
func (c *Crew) Replace(m *Member, bin harness.Binaries) {
	c.t.Helper()
	back := c.Halt(m)
	m.Use(bin)
	back()
}

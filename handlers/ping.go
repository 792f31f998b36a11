package handlers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// pingSlots is how many pings run at once: enough that none waits.
	pingSlots = 8
	// maxEcho is the largest payload that comes back, in bytes.
	maxEcho = 64 << 10
)

// Pong is the result of a task of bus.TypePing.
type Pong struct {
	NodeID bus.NodeID `json:"node_id"`
	Name   string     `json:"name"`
	// At is the node's own clock.
	At time.Time `json:"at"`
	// Echo is the task's payload.
	Echo json.RawMessage `json:"echo,omitempty"`
}

// Ping answers with the node's id and name, its time, and the task's payload. It
// goes the way of any task, so it measures that way.
type Ping struct {
	id   bus.NodeID
	name string
	now  func() time.Time
}

var _ bus.Handler = (*Ping)(nil)

// NewPing returns the handler of a node. now is its clock; nil means time.Now.
func NewPing(id bus.NodeID, name string, now func() time.Time) *Ping {
	if now == nil {
		now = time.Now
	}
	return &Ping{id: id, name: name, now: now}
}

// Capability implements bus.Handler.
func (p *Ping) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: bus.TypePing, Slots: pingSlots}, nil
}

// Handle implements bus.Handler; the result is a Pong. A payload over 64 KiB is an
// Error with CodeTooLarge.
func (p *Ping) Handle(_ context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	if len(t.Payload) > maxEcho {
		return nil, bus.Errorf(bus.CodeTooLarge, "the ping carries %d bytes, the limit is %d", len(t.Payload), maxEcho)
	}
	return Pong{NodeID: p.id, Name: p.name, At: p.now(), Echo: t.Payload}, nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// runCmd has a task of any type done.
type runCmd struct {
	Type    string `predictor:"type" arg:"" help:"The kind of task: that of a plugin (myco plugins), or one of mycod's own."`
	Payload string `arg:"" optional:"" help:"What the task is about, as JSON; - for standard input."`

	Model    string         `predictor:"model" short:"m" help:"The model, where the type has models." placeholder:"MODEL"`
	Node     string         `predictor:"node" help:"The node that must do it: its name, its id or the beginning of its id." placeholder:"NODE" xor:"where"`
	Remote   bool           `help:"Any node but this one must do it." xor:"where"`
	Detach   bool           `short:"d" help:"Hand the task over for good and print its id; do not wait."`
	Priority *int           `help:"1 (low) to 10 (high) (default: 5)." placeholder:"N"`
	Timeout  *time.Duration `help:"Give up after this time." placeholder:"DURATION"`
}

// runView is the object that run --json ends with.
type runView struct {
	TaskID     bus.TaskID      `json:"task_id"`
	NodeID     bus.NodeID      `json:"node_id"`
	NodeName   string          `json:"node_name"`
	Attempts   int             `json:"attempts"`
	DurationMS float64         `json:"duration_ms"`
	Result     json.RawMessage `json:"result"`
	Warning    string          `json:"warning,omitempty"` // pieces were lost that came before this object
}

// outputView is one piece of a task's output, with --json.
type outputView struct {
	Attempt int             `json:"attempt"`
	Seq     int             `json:"seq"`
	Output  json.RawMessage `json:"output"`
}

// Run implements the command.
func (c *runCmd) Run(ctx context.Context, a *app) error {
	t, err := c.task(a)
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if t.Node, err = pinTo(ctx, conn, c.Node); err != nil {
		return err
	}
	if c.Detach {
		return a.detach(ctx, conn, t)
	}
	ctx, cancel := inTime(ctx, t.Timeout, timeoutGrace, "result")
	defer cancel()
	return late(a.run(ctx, conn, t), t.Timeout, "result")
}

func (c *runCmd) task(a *app) (bus.Task, error) {
	payload := []byte(c.Payload)
	if c.Payload == "-" {
		var err error
		if payload, err = io.ReadAll(io.LimitReader(a.in, bus.MaxPayload+1)); err != nil {
			return bus.Task{}, fmt.Errorf("read the payload from standard input: %w", err)
		}
	}
	t := bus.Task{Type: c.Type, Model: c.Model, Remote: c.Remote, Priority: given(c.Priority), Timeout: given(c.Timeout), Payload: payload}
	if err := checkTimeout(c.Timeout); err != nil {
		return t, err
	}
	if err := outside("--priority", c.Priority, 10); err != nil {
		return t, err.WithHint("myco run --help")
	}
	switch {
	case len(payload) > bus.MaxPayload: // what was read is not all of it, and so no JSON
		return t, bus.TooLarge("payload", 0)
	case len(payload) > 0 && !json.Valid(payload):
		return t, bus.Errorf(bus.CodeInvalid, "the payload is not JSON: %.60q", payload).WithHint(`myco run %s '{"text":"..."}'; a text alone is JSON in double quotes`, c.Type)
	}
	if err := t.TakeModel(); err != nil {
		return t, err
	}
	return t, t.Validate()
}

// run submits t, and prints what comes of it: texts as they are, all else as JSON, a line each.
func (a *app) run(ctx context.Context, conn *bus.Conn, t bus.Task) error {
	start := a.now()
	s, err := conn.Start(ctx, t)
	if err != nil {
		return err
	}
	p := a.printer(false, namesFrom(ctx, conn))
	p.task = s.Reply.ID
	for chunk, err := range patient(s.Chunks(), patience, p.waiting(ctx, conn)) {
		if err != nil {
			return err
		}
		if chunk.Attempt > p.attempt {
			p.void(chunk)
		}
		switch end := chunk.End; {
		case end == nil && a.json:
			a.object(outputView{Attempt: chunk.Attempt, Seq: chunk.Seq, Output: chunk.Data})
		case end == nil:
			p.begun = true
			a.value(chunk.Data)
		case a.json:
			a.object(runView{
				TaskID: end.ID, NodeID: end.NodeID, NodeName: nameOf(p.nodes(), end.NodeID), Attempts: end.Attempts,
				DurationMS: millis(a.now().Sub(start)), Result: end.Result, Warning: end.Warning,
			})
			a.holed(end)
		default:
			a.value(end.Result)
			a.holed(end)
			a.hint("[by %s, %v]", p.who(end.NodeID), a.now().Sub(start).Round(time.Millisecond))
		}
	}
	return nil
}

// value prints a value: a text as it is, nothing for null, all else as JSON.
func (a *app) value(raw json.RawMessage) {
	var text *string
	switch err := json.Unmarshal(raw, &text); {
	case err != nil:
		a.foreign(string(raw) + "\n")
	case text != nil:
		a.foreign(*text + "\n")
	}
}

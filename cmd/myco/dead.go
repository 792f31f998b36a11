package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/mycoswarm/mycoswarm/bus"
)

// deadCmd holds the commands about dead letters: durable tasks that ended their workers, or failed,
// too often to be tried again.
type deadCmd struct {
	Ls    deadLsCmd    `cmd:"" default:"1" help:"List the durable tasks that were given up (default)."`
	Show  deadShowCmd  `cmd:"" help:"Show one of them, and why it was given up."`
	Retry deadRetryCmd `cmd:"" help:"Hand them over again, as new tasks, and remove the dead ones."`
	Rm    deadRmCmd    `cmd:"" help:"Remove them; with --all it asks before."`
}

type deadLsCmd struct{}

// noneDead is said where there are none. Tasks that somebody waits for are given up too, which task ls tells.
const noneDead = "no durable task was given up"

// deadGive is the order of what people can do without; dead show has it all.
var deadGive = giving{
	shorten: map[string]int{"MODEL": 12, "WHY": 30},
	wrap:    []string{"WHY"}, // the last cause is at its end
	drop:    []string{"ATTEMPTS", "TYPE", "AGE", "MODEL", "WHY"},
}

// Run implements the command.
func (c *deadLsCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	dead, err := conn.Dead(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.tasks(dead)
		return nil
	}
	if len(dead) == 0 {
		a.hint(noneDead)
		return nil
	}
	oldestFirst(dead)
	rows := make([][]string, len(dead))
	for i, t := range dead {
		why := "-"
		if t.Error != nil {
			why = oneLine(t.Error.Message)
		}
		rows[i] = []string{string(t.ID), t.Type, orDash(t.Model), strconv.Itoa(t.Attempts), age(t.Submitted, a.now()), why}
	}
	a.text(deadGive.fitted(a.width(), []string{"ID", "TYPE", "MODEL", "ATTEMPTS", "AGE", "WHY"}, rows))
	return nil
}

type deadShowCmd struct{ taskArg }

// Run implements the command.
func (c *deadShowCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	info, err := whole(ctx, conn, c.ID, func(id bus.TaskID) (bus.TaskInfo, error) { return conn.Task(ctx, id) })
	if err != nil {
		return notDead(err)
	}
	if info.State != bus.StateDead {
		return bus.Errorf(bus.CodeConflict, "task %s is %s, not dead", info.ID, info.State).WithHint("myco task show %s", info.ID)
	}
	a.know(ctx, conn)
	a.task(info)
	return nil
}

// notDead leads whoever named a task that nobody knows to those that are dead.
func notDead(err error) error {
	if e := bus.AsError(err); e.Code == bus.CodeNotFound {
		return e.WithHint("myco dead ls")
	}
	return err
}

// deadArgs are the dead tasks that a command is about.
type deadArgs struct {
	IDs []bus.TaskID `predictor:"dead" arg:"" optional:"" name:"id" help:"Ids of dead tasks, or their beginnings."`
	All bool         `help:"All dead tasks."`
	// Force is told to the daemon.
	Force bool `help:"Also where a node that keeps the task is away: it may come back with it."`
}

// each calls do for every task that was asked for, prints what it returns, and returns the first
// failure after all were tried. Where that is all tasks, sure is asked before, with how many they are.
func (d *deadArgs) each(ctx context.Context, a *app, sure func(n int) error, do func(*bus.Conn, bus.TaskID) (any, string, error)) error {
	if d.All == (len(d.IDs) > 0) {
		return bus.Errorf(bus.CodeInvalid, "name dead tasks, or --all of them").WithHint("myco dead ls")
	}
	for _, id := range d.IDs {
		if err := id.Validate(); err != nil {
			return err
		}
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ids, err := d.wanted(ctx, conn)
	switch {
	case err != nil:
		return err
	case len(ids) == 0:
		a.hint(noneDead)
		return nil
	case d.All:
		if err := sure(len(ids)); err != nil {
			return err
		}
	}
	var failed error
	for _, id := range ids {
		var object any
		line, err := whole(ctx, conn, id, func(id bus.TaskID) (line string, err error) {
			object, line, err = do(conn, id)
			return line, err
		})
		switch {
		case err != nil && (len(ids) == 1 || ctx.Err() != nil):
			return notDead(err)
		case err != nil:
			if failed != nil { // else it is told at the end
				a.failed(string(id)+": ", a.nextOf(bus.AsError(err)))
			} else {
				failed = bus.Errorf(bus.AsError(err).Code, "%s: %w", id, err).WithHint("%s", bus.AsError(err).Hint)
			}
		case a.json:
			a.object(object)
		default:
			a.text(line + "\n")
		}
	}
	return failed
}

// wanted are the tasks that were named, or all, the oldest first.
func (d *deadArgs) wanted(ctx context.Context, conn *bus.Conn) (ids []bus.TaskID, err error) {
	if !d.All {
		return d.IDs, nil
	}
	dead, err := conn.Dead(ctx)
	oldestFirst(dead)
	for _, t := range dead {
		ids = append(ids, t.ID)
	}
	return ids, err
}

type deadRetryCmd struct{ deadArgs }

// retryView is what dead retry --json prints, an object for each task.
type retryView struct {
	ID      bus.TaskID `json:"id"`
	TaskID  bus.TaskID `json:"task_id"` // the new task
	Warning string     `json:"warning,omitempty"`
}

// Run implements the command.
func (c *deadRetryCmd) Run(ctx context.Context, a *app) error {
	sure := func(int) error { return nil } // they come back where they fail again
	return c.each(ctx, a, sure, func(conn *bus.Conn, id bus.TaskID) (any, string, error) {
		r, err := conn.Retry(ctx, id, c.Force)
		line := fmt.Sprintf("%s goes again as %s", id, r.ID)
		if r.Warning != "" {
			line += "; it " + r.Warning
		}
		return retryView{ID: id, TaskID: r.ID, Warning: r.Warning}, line, err
	})
}

type deadRmCmd struct {
	deadArgs
	Yes bool `short:"y" help:"Do not ask, with --all."`
}

// removedView is what dead rm --json prints, an object for each task.
type removedView struct {
	ID      bus.TaskID `json:"id"`
	Removed bool       `json:"removed"`
}

// Run implements the command. Who names a task knows which one goes; --all takes those too that nobody has looked at.
func (c *deadRmCmd) Run(ctx context.Context, a *app) error {
	again := "myco dead rm --all --yes"
	if c.Force {
		again += " --force"
	}
	sure := func(n int) error {
		return a.confirm(c.Yes, "Remove "+plural(n, "dead task")+"? What they ask is gone then, and why they were given up.", again)
	}
	return c.each(ctx, a, sure, func(conn *bus.Conn, id bus.TaskID) (any, string, error) {
		return removedView{ID: id, Removed: true}, string(id) + " is removed", conn.Remove(ctx, id, c.Force)
	})
}

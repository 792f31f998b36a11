package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// taskCmd holds the commands about tasks.
type taskCmd struct {
	Ls     taskLsCmd     `cmd:"" default:"1" help:"List the tasks that the swarm knows (default)."`
	Show   taskShowCmd   `cmd:"" help:"Show what became of a task, and its result."`
	Why    taskWhyCmd    `cmd:"" help:"Show which node got a task, or would get it, and what each node bid for it."`
	Attach taskAttachCmd `cmd:"" help:"Print a task's output as it is made, to its end."`
	Cancel taskCancelCmd `cmd:"" help:"Cancel a task."`
}

// taskView is what task show --json prints: the first seven always, the rest where known.
type taskView struct {
	ID        bus.TaskID      `json:"id"`
	Type      string          `json:"type"`
	State     bus.TaskState   `json:"state"`
	Attempts  int             `json:"attempts"`
	NodeID    bus.NodeID      `json:"node_id"`
	Result    json.RawMessage `json:"result"`
	Error     *bus.Error      `json:"error"`
	Model     string          `json:"model,omitempty"`
	Submitter bus.NodeID      `json:"submitter,omitempty"`
	Durable   bool            `json:"durable"`
	Copies    int             `json:"copies,omitempty"`
	Submitted time.Time       `json:"submitted,omitzero"`
	Warning   string          `json:"warning,omitempty"`
	Position  int             `json:"position,omitempty"`
	Wait      time.Duration   `json:"wait_ns,omitempty"`
}

func viewTask(i bus.TaskInfo) taskView {
	return taskView{
		ID: i.ID, Type: i.Type, State: i.State, Attempts: i.Attempts, NodeID: i.NodeID, Result: i.Result, Error: i.Error,
		Model: i.Model, Submitter: i.Submitter, Durable: i.Durable, Copies: i.Copies, Submitted: i.Submitted, Warning: i.Warning,
		Position: i.Position, Wait: i.Wait,
	}
}

type taskLsCmd struct {
	All   bool            `short:"a" help:"Also what has ended of the parts of research, bench and the like, and what nodes ask each other to answer a request."`
	State []bus.TaskState `help:"Only tasks in this state (queued, running, done, failed, cancelled, expired, dead); repeatable." placeholder:"STATE"`
}

// Run implements the command.
func (c *taskLsCmd) Run(ctx context.Context, a *app) error {
	for _, s := range c.State {
		if !s.Known() {
			return bus.Errorf(bus.CodeInvalid, "--state %q is no state of a task", s).WithHint("one of queued, running, done, failed, cancelled, expired, dead")
		}
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	known, err := conn.Tasks(ctx)
	if err != nil {
		return err
	}
	tasks, cut := bus.Listed(known, c.All)
	if cut {
		a.hint("a node with many tasks lists %d: those that are open, then dead ones, then the latest. Of any other, by its id: myco task show ID", bus.MaxListed)
	}
	tasks = c.wanted(tasks)
	if len(tasks) == 0 && !a.json {
		a.hint("%s", c.none(len(c.wanted(known))))
		return nil
	}
	a.know(ctx, conn)
	a.tasks(tasks)
	return nil
}

// wanted are those of tasks in a state that was asked for.
func (c *taskLsCmd) wanted(tasks []bus.TaskInfo) []bus.TaskInfo {
	return slices.DeleteFunc(slices.Clone(tasks), func(t bus.TaskInfo) bool {
		return len(c.State) > 0 && !slices.Contains(c.State, t.State)
	})
}

// none says that there is nothing to list, and how much is left out of the list.
func (c *taskLsCmd) none(hidden int) string {
	what := "no tasks"
	if len(c.State) > 0 {
		states := make([]string, len(c.State))
		for i, s := range c.State {
			states[i] = string(s)
		}
		what = "no task is " + strings.Join(states, " or ")
	}
	if hidden > 0 {
		what += " but " + strconv.Itoa(hidden) + " of the parts of others, or of what nodes ask each other: myco task ls --all"
	}
	return what
}

// know asks for the nodes, so that people read their names; programs have the ids.
func (a *app) know(ctx context.Context, conn *bus.Conn) {
	if !a.json {
		a.known = namesFrom(ctx, conn)()
	}
}

// tasksGive is the order of what people can do without.
var tasksGive = giving{
	shorten: map[string]int{"MODEL": 12, "NODE": 10},
	drop:    []string{"ATTEMPTS", "TYPE", "NODE", "AGE", "MODEL"},
}

// tasks lists tasks, the newest last.
func (a *app) tasks(tasks []bus.TaskInfo) {
	oldestFirst(tasks)
	views := make([]taskView, len(tasks))
	rows := make([][]string, len(tasks))
	for i, t := range tasks {
		views[i] = viewTask(t)
		rows[i] = []string{
			string(t.ID), t.Type, orDash(t.Model), state(string(t.State)), strconv.Itoa(t.Attempts),
			orDash(a.nameOrID(t.NodeID)), age(t.Submitted, a.now()),
		}
	}
	switch {
	case a.json:
		a.object(views)
	default:
		a.text(tasksGive.fitted(a.width(), []string{"ID", "TYPE", "MODEL", "STATE", "ATTEMPTS", "NODE", "AGE"}, rows))
	}
}

// oldestFirst is the order in which tasks are shown; the daemon tells them in none.
func oldestFirst(tasks []bus.TaskInfo) {
	slices.SortStableFunc(tasks, func(x, y bus.TaskInfo) int { return x.Submitted.Compare(y.Submitted) })
}

// nameOrID is what a person calls a node, in a table.
func (a *app) nameOrID(id bus.NodeID) string { return cmp.Or(nameOf(a.known, id), string(id)) }

// nameAndID is a node where there is room for both.
func (a *app) nameAndID(id bus.NodeID) string {
	return nameAndID(nameOf(a.known, id), id)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age tells how long ago t was, to the one or two digits that matter.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(0, now.Sub(t))
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}

// taskArg is the task that a command is about.
type taskArg struct {
	ID bus.TaskID `predictor:"task" arg:"" help:"The task's id, or its beginning."`
}

// Validate implements kong's check of arguments. That one is missing, kong says itself.
func (t taskArg) Validate() error {
	if t.ID == "" {
		return nil
	}
	return t.ID.Validate()
}

// answerIDs are what the ids of answers have before that of their task, in the interfaces of OpenAI and Anthropic.
var answerIDs = []string{"chatcmpl-", "cmpl-", "msg_", "req_"}

// whole calls ask with the id that a person means: as it is, else that of the task of an answer that a program has
// got by HTTP, else that of the one task whose id begins like this.
func whole[T any](ctx context.Context, conn *bus.Conn, id bus.TaskID, ask func(bus.TaskID) (T, error)) (T, error) {
	v, unknown := ask(id)
	if !errors.Is(unknown, &bus.Error{Code: bus.CodeNotFound}) {
		return v, unknown
	}
	for _, head := range answerIDs {
		if rest, ok := strings.CutPrefix(string(id), head); ok && rest != "" {
			if v, err := ask(bus.TaskID(rest)); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
				return v, err
			}
		}
	}
	tasks, err := conn.Tasks(ctx)
	if err != nil {
		return v, err
	}
	var found []string
	for _, t := range tasks {
		if strings.HasPrefix(string(t.ID), string(id)) {
			found = append(found, string(t.ID))
		}
	}
	switch len(found) {
	case 0:
		return v, unknown
	case 1:
		return ask(bus.TaskID(found[0]))
	}
	slices.Sort(found)
	return v, bus.Errorf(bus.CodeInvalid, "%d tasks begin with %q: %s", len(found), id, strings.Join(found[:min(3, len(found))], ", ")).WithHint("myco task ls")
}

type taskShowCmd struct{ taskArg }

// Run implements the command.
func (c *taskShowCmd) Run(ctx context.Context, a *app) error {
	return a.about(ctx, c.ID, (*bus.Conn).Task, a.task)
}

// about asks the daemon about a task, or for something with it, and prints what it says.
func (a *app) about(ctx context.Context, id bus.TaskID, ask func(*bus.Conn, context.Context, bus.TaskID) (bus.TaskInfo, error), print func(bus.TaskInfo)) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	info, err := whole(ctx, conn, id, func(id bus.TaskID) (bus.TaskInfo, error) { return ask(conn, ctx, id) })
	if err != nil {
		return err
	}
	a.know(ctx, conn)
	print(info)
	return nil
}

// task prints one task.
func (a *app) task(i bus.TaskInfo) {
	if a.json {
		a.object(viewTask(i))
		return
	}
	pairs := [][2]string{
		{"id", string(i.ID)},
		{"type", i.Type},
		{"model", i.Model},
		{"state", state(string(i.State))},
		{"attempts", strconv.Itoa(i.Attempts)},
		{"node", a.nameAndID(i.NodeID)},
		{"submitter", a.nameAndID(i.Submitter)},
	}
	if i.Durable {
		durable := "yes"
		switch { // the copies are told while it is under way
		case i.Copies == 1:
			durable = "1 copy"
		case i.Copies > 1:
			durable = strconv.Itoa(i.Copies) + " copies"
		}
		pairs = append(pairs, [2]string{"durable", durable})
	}
	if !i.Submitted.IsZero() {
		pairs = append(pairs, [2]string{"age", age(i.Submitted, a.now())})
	}
	pairs = append(pairs, [2]string{"waits", place(i)}, [2]string{"warning", i.Warning})
	if i.Error != nil {
		pairs = append(pairs, [2]string{"error", a.harmless(i.Error.Message)}, [2]string{"try", a.harmless(a.next(i.Error.Hint))})
	}
	a.fields(append(pairs, [2]string{"result", a.resultText(i)}))
}

// place tells where a task stands in the queue; empty where that is not known.
func place(i bus.TaskInfo) string {
	if i.Position == 0 {
		return ""
	}
	at := "next in the queue"
	if i.Position > 1 {
		at = strconv.Itoa(i.Position) + " in the queue"
	}
	if i.Wait > 0 {
		at += ", for about " + shortTime(i.Wait)
	}
	return at
}

// resultText is a result for people: the answer of an inference, the text of a page, what a search found, else the JSON.
func (a *app) resultText(i bus.TaskInfo) string {
	var r bus.InferenceResult
	if i.Type == bus.TypeInference && json.Unmarshal(i.Result, &r) == nil && r.Text != "" {
		return a.harmless(r.Text)
	}
	var f bus.FileResult
	if i.Type == bus.TypeFile && json.Unmarshal(i.Result, &f) == nil && f.Text != "" {
		return a.harmless(f.Text)
	}
	var p bus.FetchResult
	if i.Type == bus.TypeFetch && json.Unmarshal(i.Result, &p) == nil && p.Text != "" {
		return a.harmless(p.Text)
	}
	var s bus.SearchResult
	if i.Type == bus.TypeSearch && json.Unmarshal(i.Result, &s) == nil && len(s.Results) > 0 {
		return strings.TrimSpace(hitsText(s.Results, 0))
	}
	return a.harmless(string(i.Result))
}

type taskCancelCmd struct{ taskArg }

// Run implements the command. A task that had ended stays as it is, which is no failure.
func (c *taskCancelCmd) Run(ctx context.Context, a *app) error {
	return a.about(ctx, c.ID, (*bus.Conn).Cancel, func(info bus.TaskInfo) {
		if a.json {
			a.object(viewTask(info))
			return
		}
		line := string(info.ID) + " is " + state(string(info.State))
		if info.State.Terminal() && info.State != bus.StateCancelled {
			line += ", and stays so"
		}
		a.text(line + "\n")
	})
}

type taskAttachCmd struct {
	taskArg
	From   int  `help:"The first piece to print, counted from 0." placeholder:"N"`
	Stream bool `help:"With --json: print each piece of the output too, before the last object."`
}

// Run implements the command. Ending it leaves the task alone.
func (c *taskAttachCmd) Run(ctx context.Context, a *app) error {
	err := c.attach(ctx, a)
	if e := bus.AsError(err); e != nil && e.Code == bus.CodeUnavailable && startsDaemon(e.Hint) {
		return e.WithHint("%s, and then: myco task attach %s", e.Hint, c.ID) // the daemon is gone, and the task is not
	}
	return err
}

// startsDaemon reports whether a hint of bus tells how the daemon is started.
func startsDaemon(hint string) bool {
	return slices.ContainsFunc([]string{"mycod", "systemctl start mycod", "start mycod"}, func(how string) bool { return strings.HasPrefix(hint, how) })
}

func (c *taskAttachCmd) attach(ctx context.Context, a *app) error {
	if c.From < 0 {
		return bus.Errorf(bus.CodeInvalid, "--from %d: want 0 or more", c.From).WithHint("myco task attach --help")
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	info, err := whole(ctx, conn, c.ID, func(id bus.TaskID) (bus.TaskInfo, error) { return conn.Task(ctx, id) })
	if err != nil {
		return err
	}
	chunks := conn.Attach(ctx, info.ID, c.From)
	p := a.printer(c.Stream, namesFrom(ctx, conn))
	p.task = info.ID
	if info.Type != bus.TypeInference {
		return p.raw(chunks)
	}
	return p.follow(patient(chunks, patience, p.waiting(ctx, conn)))
}

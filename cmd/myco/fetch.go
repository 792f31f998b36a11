package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// fetchCmd gets pages of the web through the swarm.
type fetchCmd struct {
	URL []string `arg:"" name:"url" help:"Pages, as https://example.org/page; several are fetched side by side."`

	Format   string         `help:"markdown, text, or raw for what the server sent (default: markdown)." placeholder:"FORMAT"`
	Node     string         `help:"The node that must fetch: its name, its id or the beginning of its id." placeholder:"NODE" xor:"where"`
	Remote   bool           `help:"Any node but this one must fetch." xor:"where"`
	Timeout  *time.Duration `help:"Give up after this time." placeholder:"DURATION"`
	MaxBytes *int           `help:"Read no more of a page, and print no more of it (default: 2097152, at most 16777216)." placeholder:"N"`
}

// fetchView is what fetch --json prints of a page.
type fetchView struct {
	Asked string `json:"asked"`
	*bus.FetchResult
	TaskID     bus.TaskID `json:"task_id,omitempty"`
	NodeID     bus.NodeID `json:"node_id,omitempty"`
	NodeName   string     `json:"node_name,omitempty"`
	Attempts   int        `json:"attempts,omitempty"`
	DurationMS float64    `json:"duration_ms,omitempty"`
	Error      *bus.Error `json:"error,omitempty"`
}

// Run implements the command. Where one of several pages fails the others are printed, and the exit code is
// that of the first failure.
func (c *fetchCmd) Run(ctx context.Context, a *app) error {
	if err := checkTimeout(c.Timeout); err != nil {
		return err
	}
	if err := outside("--max-bytes", c.MaxBytes, bus.MaxPage); err != nil {
		return err.WithHint("myco fetch --help")
	}
	tasks, err := c.tasks()
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	pin, err := pinTo(ctx, conn, c.Node)
	if err != nil {
		return err
	}
	for i := range tasks {
		tasks[i].Node = pin
	}
	names := namesFrom(ctx, conn)
	pages := a.fetch(ctx, conn, tasks)
	for i, next := range pages {
		p := next()
		if p.err != nil && (len(pages) == 1 || ctx.Err() != nil) {
			return p.err
		}
		a.page(c.URL[i], p, names, len(pages) > 1, i > 0)
	}
	return nil
}

// tasks makes the tasks, one for each page.
func (c *fetchCmd) tasks() ([]bus.Task, error) {
	var out []bus.Task
	for _, u := range c.URL {
		req := bus.FetchRequest{URL: u, Format: c.Format, MaxBytes: given(c.MaxBytes)}
		if err := req.Validate(); err != nil {
			if len(c.URL) > 1 {
				e := bus.AsError(err)
				return nil, bus.Errorf(e.Code, "%s: %w", u, err).WithHint("%s", e.Hint)
			}
			return nil, err
		}
		t, err := bus.NewTask(bus.TypeFetch, req)
		if err != nil {
			return nil, err
		}
		t.ID, t.Remote, t.Timeout = bus.NewTaskID(), c.Remote, given(c.Timeout)
		out = append(out, t)
	}
	return out, nil
}

// fetched is a page, or why there is none.
type fetched struct {
	bus.FetchResult
	info bus.TaskInfo
	took time.Duration
	err  error
}

// fetch runs tasks side by side, and returns for each what waits for it. What it waits for that long, it
// tells the user.
func (a *app) fetch(ctx context.Context, conn *bus.Conn, tasks []bus.Task) []func() fetched {
	out := make([]func() fetched, len(tasks))
	for i, t := range tasks {
		done := make(chan fetched, 1)
		start := a.now()
		go func() {
			p := fetchOne(ctx, conn, t)
			p.took = a.now().Sub(start)
			done <- p
		}()
		told := ""
		out[i] = func() fetched {
			for {
				select {
				case p := <-done:
					return p
				case <-time.After(patience):
				}
				if why, _ := waitsFor(ctx, conn, t.ID); why != "" && why != told {
					told = why
					a.hint("[%s]", why)
				}
			}
		}
	}
	return out
}

func fetchOne(ctx context.Context, conn *bus.Conn, t bus.Task) (p fetched) {
	ctx, cancel := inTime(ctx, t.Timeout, timeoutGrace, "page")
	defer cancel()
	if p.info, p.err = toItsEnd(conn.Submit(ctx, t), func(bus.Chunk) {}); p.err == nil {
		p.FetchResult, p.err = bus.Result[bus.FetchResult](p.info)
	}
	p.err = late(p.err, t.Timeout, "page")
	return p
}

// page prints one page: of several each has a head of its own.
func (a *app) page(asked string, p fetched, names func() []bus.NodeInfo, several, later bool) {
	v := fetchView{Asked: asked, TaskID: p.info.ID, NodeID: p.info.NodeID, Attempts: p.info.Attempts, DurationMS: millis(p.took)}
	if v.NodeID != "" && (a.json || !a.quiet) {
		v.NodeName = nameOf(names(), v.NodeID)
	}
	if p.err == nil {
		v.FetchResult = &p.FetchResult
	} else {
		v.Error = a.nextOf(bus.AsError(p.err))
		if a.code == 0 {
			a.code = v.Error.Code.ExitCode()
		}
	}
	switch {
	case a.json:
		a.object(v)
	case several && p.err == nil:
		head := "==> " + p.URL + " <==\n"
		if later {
			head = "\n" + head
		}
		a.text(head)
	}
	if p.err != nil {
		a.failed(asked+": ", v.Error)
		return
	}
	if head := p.head(); head != "" {
		a.hint("%s", head)
	}
	if !a.json {
		a.foreign(p.Text)
		if p.Text != "" && !strings.HasSuffix(p.Text, "\n") {
			a.text("\n")
		}
	}
	a.hint("%s", v.footer())
}

// head is what a page tells of itself.
func (p fetched) head() string {
	parts := []string{}
	for _, s := range []string{p.Title, p.Byline, p.Site} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if !p.Published.IsZero() {
		parts = append(parts, p.Published.Format(time.DateOnly))
	}
	return strings.Join(parts, " | ")
}

// footer tells who fetched the page, from where, and how much there was.
func (v fetchView) footer() string {
	parts := []string{nameAndID(v.NodeName, v.NodeID), v.URL, fmt.Sprintf("%d bytes", v.Bytes), time.Duration(v.DurationMS * 1e6).Round(time.Millisecond).String()}
	if v.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", v.Attempts))
	}
	if v.Truncated {
		parts = append(parts, "cut: there is more, see --max-bytes")
	}
	return "-- " + strings.Join(parts, ", ")
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// searchCmd searches the web through the swarm.
type searchCmd struct {
	Words []string `arg:"" help:"What is looked for, as the search engine takes it."`

	MaxResults *int           `short:"n" help:"Tell no more pages (default: 10, at most 50)." placeholder:"N"`
	Language   string         `help:"Of the pages: de, or pt-BR (default: what the search engine takes)." placeholder:"TAG"`
	Since      string         `help:"Only what is new since a day, week, month or year." placeholder:"AGE"`
	Node       string         `predictor:"node" help:"The node that must search: its name, its id or the beginning of its id." placeholder:"NODE" xor:"where"`
	Remote     bool           `help:"Any node but this one must search." xor:"where"`
	Timeout    *time.Duration `help:"Give up after this time." placeholder:"DURATION"`
}

// searchView is what search --json prints.
type searchView struct {
	Query string `json:"query"`
	bus.SearchResult
	TaskID     bus.TaskID `json:"task_id"`
	NodeID     bus.NodeID `json:"node_id"`
	NodeName   string     `json:"node_name,omitempty"`
	Attempts   int        `json:"attempts"`
	DurationMS float64    `json:"duration_ms"`
}

// Run implements the command. Nothing found is CodeNotFound.
func (c *searchCmd) Run(ctx context.Context, a *app) error {
	if err := checkTimeout(c.Timeout); err != nil {
		return err
	}
	if err := outside("-n", c.MaxResults, bus.MaxHits); err != nil {
		return err.WithHint("myco search --help")
	}
	req := bus.SearchRequest{Query: strings.Join(c.Words, " "), MaxResults: given(c.MaxResults), Language: c.Language, Since: c.Since}
	if err := req.Validate(); err != nil {
		return err
	}
	t, err := bus.NewTask(bus.TypeSearch, req)
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	t.Remote, t.Timeout = c.Remote, given(c.Timeout)
	if t.Node, err = pinTo(ctx, conn, c.Node); err != nil {
		return err
	}
	v := searchView{Query: req.Query}
	start := a.now()
	end, res, err := a.search(ctx, conn, t)
	if err != nil {
		return err
	}
	v.SearchResult, v.TaskID, v.NodeID, v.Attempts, v.DurationMS = res, end.ID, end.NodeID, end.Attempts, millis(a.now().Sub(start))
	if a.json || !a.quiet {
		v.NodeName = nameOf(namesFrom(ctx, conn)(), v.NodeID)
	}
	return c.print(a, v)
}

// search has the swarm search.
func (a *app) search(ctx context.Context, conn *bus.Conn, t bus.Task) (end bus.TaskInfo, res bus.SearchResult, err error) {
	limited, cancel := inTime(ctx, t.Timeout, timeoutGrace, "result")
	defer cancel()
	end, res, err = resultOf[bus.SearchResult](limited, a.holdups(conn), t)
	return end, res, late(err, t.Timeout, "result")
}

func (c *searchCmd) print(a *app, v searchView) error {
	nothing := bus.Errorf(bus.CodeNotFound, "no page was found")
	switch {
	case c.Since != "":
		nothing = nothing.WithHint("leave out --since: not every engine knows how old a page is")
	case len(v.Silent) > 0:
		nothing = nothing.WithHint("search again in a while: not every engine has answered")
	}
	if a.json {
		a.object(v)
		if len(v.Results) == 0 {
			a.code = nothing.Code.ExitCode()
		}
		return nil
	}
	a.text(hitsText(v.Results, a.width()))
	if len(v.Silent) > 0 {
		a.hint("[no answer from %s]", oneLine(strings.Join(v.Silent, ", ")))
	}
	if len(v.Results) == 0 {
		return nothing
	}
	a.hint("%s", v.footer())
	return nil
}

// hitsText is what was found, for people, in lines of that width; 0 for any. The addresses stay whole, to be clicked on.
func hitsText(hits []bus.SearchHit, width int) string {
	var b strings.Builder
	digits := len(strconv.Itoa(len(hits)))
	for i, h := range hits {
		title := oneLine(h.Title) // the node that searched has seen to that, if it is one of ours
		if !h.Published.IsZero() {
			title += " (" + h.Published.Format(time.DateOnly) + ")"
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		first := fmt.Sprintf("%*d. ", digits, i+1)
		rest := strings.Repeat(" ", len(first))
		wrapped := func(s string) string {
			if width <= 0 {
				return s
			}
			return wrap(s, width-len(first))
		}
		b.WriteString(prefix(wrapped(boldStyle.Render(title)), first, rest) + "\n" + rest + oneLine(h.URL) + "\n")
		if h.Content != "" {
			b.WriteString(prefix(wrapped(oneLine(h.Content)), rest, rest) + "\n")
		}
	}
	return b.String()
}

// footer tells who searched, and by how many engines.
func (v searchView) footer() string {
	var engines []string
	for _, h := range v.Results {
		engines = append(engines, h.Engines...)
	}
	slices.Sort(engines)
	engines = slices.Compact(engines)
	parts := []string{nameAndID(v.NodeName, v.NodeID), plural(len(v.Results), "page")}
	if len(engines) > 0 {
		parts[1] += " from " + plural(len(engines), "engine")
	}
	parts = append(parts, time.Duration(v.DurationMS*1e6).Round(time.Millisecond).String())
	if v.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", v.Attempts))
	}
	return "-- " + strings.Join(parts, ", ")
}

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

type taskWhyCmd struct{ taskArg }

// Run implements the command.
func (c *taskWhyCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	w, err := whole(ctx, conn, c.ID, func(id bus.TaskID) (bus.Why, error) { return conn.Why(ctx, id) })
	if err != nil {
		return err
	}
	a.know(ctx, conn)
	a.why(w)
	return nil
}

// bidsGive is the order of what people can do without: the bid is the sum of what WHY tells.
var bidsGive = giving{
	shorten: map[string]int{"NAME": 12, "OUTCOME": 10, "WHY": 14},
	wrap:    []string{"OUTCOME", "WHY"},
	drop:    []string{"NODE", "BID", "WHY"},
}

// why prints what the nodes bid for a task.
func (a *app) why(w bus.Why) {
	if a.json {
		a.object(w)
		return
	}
	pairs := [][2]string{{"task", string(w.Task)}, {"node", orDash(a.nameAndID(w.NodeID))}}
	if w.By != "" {
		pairs = append(pairs, [2]string{"decided by", a.nameAndID(w.By)}, [2]string{"waited", shortTime(w.Waited)})
	}
	if w.Attempt > 1 {
		pairs = append(pairs, [2]string{"attempt", strconv.Itoa(w.Attempt)})
	}
	if w.PromptTokens > 0 {
		pairs = append(pairs, [2]string{"prompt", fmt.Sprintf("about %d tokens", w.PromptTokens)})
	}
	a.fields(append(pairs, [2]string{"note", w.Note}))
	if len(w.Bids) == 0 {
		return
	}
	a.text("\n")
	var rows [][]string
	for _, b := range w.Bids {
		rows = append(rows, []string{orDash(b.Name), string(b.NodeID), bidText(b), whatCame(b), termText(b.Terms)})
	}
	a.text(bidsGive.fitted(a.width(), []string{"NAME", "NODE", "BID", "OUTCOME", "WHY"}, rows))
}

func bidText(b bus.NodeBid) string {
	switch {
	case b.Bid == 0:
		return "-"
	case slices.ContainsFunc(b.Terms, func(t bus.BidTerm) bool { return t.Last }):
		return "last"
	}
	return shortTime(b.Bid)
}

func whatCame(b bus.NodeBid) string {
	switch {
	case b.Chosen:
		return "got it"
	case b.Not == "":
		return "can have it"
	}
	return b.Not
}

func termText(terms []bus.BidTerm) string {
	var parts []string
	for _, t := range terms {
		s := t.Why
		if t.Cost > 0 && !t.Last {
			s = shortTime(t.Cost) + ": " + s
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// shortTime is d to the digits that matter.
func shortTime(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.Itoa(int(d.Milliseconds())) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return d.Round(time.Second).String()
}

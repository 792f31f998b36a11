package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// barWidth is how long the bar of the fastest row is, in columns.
const barWidth = 24

// benchGive is the order of what people can do without.
var benchGive = giving{
	shorten: map[string]int{"NODE": 12, "": 8, "BY": 12},
	drop:    []string{"", "ANSWERS", "BY"},
}

// String tells a row in one line.
func (r benchRow) String() string {
	if r.Error != "" {
		return fmt.Sprintf("%s, %d at a time: %s", r.Name, r.Parallel, r.Error)
	}
	return fmt.Sprintf("%s, %d at a time: %s, first token after %s", r.Name, r.Parallel, rate(r.TokensPerSecond), r.ttft())
}

// ttft renders the time to the first token.
func (r benchRow) ttft() string {
	took := time.Duration(r.TTFTMS * float64(time.Millisecond))
	switch {
	case r.More:
		return "over " + took.Round(100*time.Millisecond).String()
	case took == 0:
		return "-"
	case took < 10*time.Millisecond:
		return took.Round(10 * time.Microsecond).String()
	case took < time.Second:
		return took.Round(time.Millisecond).String()
	}
	return took.Round(10 * time.Millisecond).String()
}

// String renders v for people, on a terminal of that width, or 0 for any.
func (v benchView) String(width int) string {
	most := 0.0
	for _, r := range v.Rows {
		most = max(most, r.TokensPerSecond)
	}
	rows := make([][]string, len(v.Rows))
	for i, r := range v.Rows {
		if r.Error != "" {
			rows[i] = []string{r.Name, strconv.Itoa(r.Parallel), "-", "-", "-", "", badStyle.Render(r.Error)}
			continue
		}
		bar := strings.Repeat("█", int(r.TokensPerSecond/max(most, 1e-9)*barWidth+0.5))
		speed := strings.TrimSuffix(rate(r.TokensPerSecond), " tokens/s")
		rows[i] = []string{r.Name, strconv.Itoa(r.Parallel), strconv.Itoa(r.Answers), r.ttft(), speed, bar, r.shares()}
	}
	return benchGive.fitted(width, []string{"NODE", "AT A TIME", "ANSWERS", "FIRST TOKEN", "TOKENS/S", "", "BY"}, rows) + v.verdict()
}

// shares tells who made how much of it, the most first.
func (r benchRow) shares() string {
	all := 0
	for _, n := range r.By {
		all += n
	}
	names := slices.SortedFunc(maps.Keys(r.By), func(a, b string) int { return cmp.Or(r.By[b]-r.By[a], strings.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d%%", name, (200*r.By[name]+all)/(2*all))
	}
	return strings.Join(names, ", ")
}

// verdict compares the swarm with the best of its nodes, both asked as much at a time.
func (v benchView) verdict() string {
	swarm := v.Rows[len(v.Rows)-1]
	var best benchRow
	for _, r := range v.Rows[:len(v.Rows)-1] {
		if r.Parallel == swarm.Parallel && r.TokensPerSecond > best.TokensPerSecond {
			best = r
		}
	}
	if best.TokensPerSecond == 0 || swarm.TokensPerSecond == 0 {
		return ""
	}
	s := fmt.Sprintf("\n%s, %d at a time: the swarm makes %.2f times the tokens/s of %s alone", v.Model, swarm.Parallel, swarm.TokensPerSecond/best.TokensPerSecond, best.Name)
	if best.TTFTMS > 0 && swarm.TTFTMS > 0 {
		s += fmt.Sprintf("; a first token comes after %s, from %s alone after %s", swarm.ttft(), best.Name, best.ttft())
	}
	return s + ".\n"
}

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mycoswarm/mycoswarm/bus"
)

// render shows v on a terminal of that size; 0 for any. Where it is too small, the last of each
// table are left out, and it says how many. What has a height is the live view.
func (v topView) render(width, height int) string {
	parts := []string{fit(v.title(height > 0), width)}
	room := height - 1
	tables := [][]string{v.nodeTable(), v.queueTable(), v.taskTable()}
	for i, t := range tables {
		if len(t) < 2 {
			continue // nothing below its head
		}
		share := 0
		if height > 0 {
			left := 0
			for _, o := range tables[i+1:] {
				if len(o) > 1 {
					left++
				}
			}
			if share = min(max(room-1-4*left, 3), room-1); share < 2 {
				break
			}
		}
		shown := cut(t, share)
		room -= len(shown) + 1
		parts = append(parts, "")
		for _, line := range shown {
			parts = append(parts, fit(line, width))
		}
	}
	return strings.Join(parts, "\n") + "\n"
}

// cut leaves at most n lines, the last of which says how many are missing; 0 leaves all.
func cut(lines []string, n int) []string {
	if n <= 0 || len(lines) <= n {
		return lines
	}
	return append(append([]string{}, lines[:n-1]...), dimStyle.Render(fmt.Sprintf("and %d more", len(lines)-n+1)))
}

func fit(line string, width int) string {
	if width <= 0 {
		return line
	}
	return ansi.Truncate(line, width, "…")
}

func (v topView) title(live bool) string {
	ready := 0
	for _, n := range v.Nodes {
		if n.State == bus.NodeReady {
			ready++
		}
	}
	title := lipgloss.NewStyle().Bold(true).Render(cmp.Or(v.Swarm.Name, "…")) + fmt.Sprintf("  %d of %d nodes ready, %d waiting, %d running, %s",
		ready, len(v.Nodes), v.Waiting, v.Running, rate(v.TokensPerSecond))
	if live {
		title += "  " + dimStyle.Render("q leaves")
	}
	return title
}

func lines(headers []string, rows [][]string) []string {
	return strings.Split(strings.TrimRight(tabulate(headers, rows), "\n"), "\n")
}

func (v topView) nodeTable() []string {
	rows := make([][]string, len(v.Nodes))
	for i, n := range v.Nodes {
		cpu, gpu, speed := "-", "-", "-"
		if n.NodeUse != nil {
			cpu = fmt.Sprintf("%.0f%%", n.CPUPercent)
			if n.GPUPercent >= 0 {
				gpu = fmt.Sprintf("%d%%", n.GPUPercent)
			}
			speed = fmt.Sprintf("%.1f", n.TokensPerSecond)
		}
		name := n.Name
		if n.Host {
			name += dimStyle.Render(" (queue)")
		}
		loaded := slices.Clone(n.Loaded)
		if more := n.Models - len(n.Loaded); more > 0 {
			loaded = append(loaded, dimStyle.Render(fmt.Sprintf("+%d", more)))
		}
		rows[i] = []string{name, state(string(n.State)), cpu, gpu, fmt.Sprintf("%d/%d", n.Busy, n.Slots), speed, cmp.Or(strings.Join(loaded, " "), "-")}
	}
	return lines([]string{"NODE", "STATE", "CPU", "GPU", "BUSY", "TOKENS/S", "MODELS LOADED"}, rows)
}

func (v topView) queueTable() []string {
	rows := make([][]string, len(v.Queues))
	for i, q := range v.Queues {
		rows[i] = []string{string(q.Lane), q.Class, cmp.Or(q.Model, "-"), fmt.Sprint(q.Waiting), fmt.Sprint(q.Running)}
	}
	return lines([]string{"LANE", "TYPE", "MODEL", "WAITING", "RUNNING"}, rows)
}

func (v topView) taskTable() []string {
	rows := make([][]string, len(v.Tasks))
	for i, t := range v.Tasks {
		waited := "-"
		if t.WaitedMS != nil {
			waited = inSeconds(*t.WaitedMS)
		}
		rows[i] = []string{
			string(t.ID), cmp.Or(t.Name, string(t.Node)), cmp.Or(t.Type, "-"), cmp.Or(t.Model, "-"), fmt.Sprint(t.Attempt),
			waited, inSeconds(t.RunningMS),
		}
	}
	return lines([]string{"TASK", "NODE", "TYPE", "MODEL", "ATTEMPT", "WAITED", "RUNS FOR"}, rows)
}

func inSeconds(ms int64) string {
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}

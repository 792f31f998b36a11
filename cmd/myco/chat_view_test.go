package main

import (
	"context"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mycoswarm/mycoswarm/bus"
)

// knowingAsker knows nodes.
type knowingAsker struct {
	asker
	all []bus.NodeInfo
}

func (k knowingAsker) nodes(context.Context) ([]bus.NodeInfo, error) { return k.all, nil }

// What a chat tells beside answers is broken between words, and in tables, where the terminal is narrow.
func TestChatFitsItsTerminal(t *testing.T) {
	t.Parallel()
	const long = "qwen2.5-coder:7b-instruct-q4_K_M"
	var models []bus.ModelInfo
	for _, name := range []string{"gemma3:1b", "llama3.2:3b", long, "nomic-embed-text", "漢字モデル:7b"} {
		models = append(models, bus.ModelInfo{Name: name})
	}
	nodes := []bus.NodeInfo{
		{Name: "tower", State: bus.NodeReady, Models: models}, {Name: "living-room-pc", State: bus.NodeReady, Models: models}, {Name: "attic", State: bus.NodeReady, Models: models},
	}
	for _, width := range []int{40, 60, 80, 100} {
		var errs strings.Builder
		ch := &chat{app: &app{streams: streams{columns: func() int { return width }}}, asker: knowingAsker{all: nodes}, notes: &errs, s: &session{}}
		for _, verb := range []string{"/help", "/model", "/node"} {
			must(t, ch.command(t.Context(), chatLine{verb: verb}))
		}
		ch.note("-- %s, %s, 45.3 tokens/s, first token after 1.203s, context 12%% full", nodes[1].Name, long)
		said := ansi.Strip(errs.String())
		for line := range strings.Lines(said) {
			if w := lipgloss.Width(strings.TrimRight(line, "\n")); w > width {
				t.Errorf("%d columns of %d: %q", w, width, line)
			}
		}
		for _, want := range append(strings.Fields("/library conversation. living-room-pc attic 1.203s,"), long, "漢字モデル:7b", "nomic-embed-text") {
			if !strings.Contains(said, want) {
				t.Errorf("no %q on %d columns:\n%s", want, width, said)
			}
		}
	}
}

// Without a daemon there is no swarm: no host of a queue, and no term.
func TestPeersWithoutADaemon(t *testing.T) {
	t.Parallel()
	var errs strings.Builder
	ch := &chat{app: &app{}, local: true, asker: knowingAsker{all: []bus.NodeInfo{{Name: "alone", Models: []bus.ModelInfo{{Name: "gemma3:1b"}}}}}, notes: &errs, s: &session{}}
	must(t, ch.command(t.Context(), chatLine{verb: "/peers"}))
	if said := errs.String(); !strings.Contains(said, "there is no swarm") || !strings.Contains(said, "gemma3:1b") || strings.Contains(said, "queue") {
		t.Errorf("it says %s", said)
	}
}

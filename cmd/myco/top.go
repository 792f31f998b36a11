package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"

	"github.com/mycoswarm/mycoswarm/bus"
)

// topCmd shows what the swarm does at present.
type topCmd struct {
	Watch bool `short:"w" help:"Where there is no terminal, or with --json: show it again every second, until Ctrl-C."`
}

const (
	topEvery = time.Second
	// topListen is how long one snapshot waits to hear of what every node runs.
	topListen = 2 * time.Second
)

// Run implements the command.
func (c *topCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := newTopGather(conn, a.now)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.listen(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	if a.interactive && !a.json && !slices.Contains(a.environ, "TERM=dumb") && term.IsTerminal(os.Stdout.Fd()) {
		return a.topLive(ctx, g)
	}
	for {
		v, err := g.settled(ctx)
		if err != nil {
			return err
		}
		if a.json {
			a.object(v)
		} else {
			a.text(v.render(a.width(), 0))
		}
		if err := a.unwritten(); err != nil || !c.Watch {
			return err // nobody sees the next one
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(topEvery):
		}
	}
}

// topModel is the live view.
type topModel struct {
	view          topView
	err           error
	width, height int
}

// topNews is a new look at the swarm.
type topNews struct {
	view topView
	err  error
}

// Init implements tea.Model.
func (m topModel) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case topNews:
		if m.err = msg.err; msg.err == nil {
			m.view = msg.view
		}
	case tea.KeyPressMsg:
		switch msg.String() {
		case "q", "esc", "ctrl+c", "ctrl+d":
			return m, tea.Quit
		case "ctrl+z":
			return m, tea.Suspend
		}
	}
	return m, nil
}

// View implements tea.Model.
func (m topModel) View() tea.View {
	text := m.view.render(m.width, m.height)
	if m.err != nil {
		text = fit(badStyle.Render("myco: "+bus.AsError(m.err).Message+": trying again"), m.width) + "\n" + m.view.render(m.width, m.height-1)
	}
	v := tea.NewView(tamed(text))
	v.AltScreen = true
	return v
}

// topLive shows the view until the user leaves. A daemon that goes away may come back.
func (a *app) topLive(ctx context.Context, g *topGather) error {
	p := tea.NewProgram(topModel{}, tea.WithContext(ctx), tea.WithOutput(os.Stdout), tea.WithEnvironment(a.environ))
	looks, stop := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		t := time.NewTicker(topEvery)
		defer t.Stop()
		for {
			v, err := g.look(looks)
			p.Send(topNews{v, err})
			select {
			case <-looks.Done():
				return
			case <-t.C:
			}
		}
	}()
	_, err := p.Run()
	stop()
	<-over
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

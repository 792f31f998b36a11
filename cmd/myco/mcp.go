package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
	"github.com/mycoswarm/mycoswarm/internal/toolbox"
)

// mcpCmd serves the swarm's abilities to a program that has a model call them.
type mcpCmd struct{}

// Run implements the command. It ends when the program leaves; that no daemon runs ends nothing.
func (c *mcpCmd) Run(ctx context.Context, a *app) error {
	life, leave := context.WithCancel(ctx)
	defer leave()
	swarm := &toolSwarm{app: a}
	defer swarm.close()
	build, _ := debug.ReadBuildInfo()
	box := toolbox.New(life, toolbox.Config{
		Swarm: swarm, Local: toolFiles{a, swarm}, Manages: true, Owns: true, Hint: a.nextOf, Version: buildVersion(version, build).String(),
	})
	swarm.first(life, box.Offer)
	var offers sync.WaitGroup
	offers.Go(func() { swarm.follow(life, box.Offer) })
	err := box.Run(life, newMCPStdio(life, a.in, a.streams.out).transport())
	leave()
	offers.Wait()
	if ctx.Err() != nil || err == nil || errors.Is(err, errUnread) {
		return nil // who started it has ended it, or has left
	}
	return bus.Errorf(bus.CodeFailed, "speak with the program that started this: %w", err)
}

// toolSwarm is the swarm as tools ask for it, through the daemon of this machine as soon as there is one.
type toolSwarm struct {
	*app
	mu   sync.Mutex
	conn *bus.Conn // nil before the first call that found a daemon; it finds one that comes back by itself
}

// connected is the connection to the daemon.
func (s *toolSwarm) connected(ctx context.Context) (*bus.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return s.conn, nil
	}
	conn, err := s.dial(ctx)
	if err == nil {
		s.conn = conn
	}
	return conn, err
}

// close ends the connection, and with it the tasks that are still under way.
func (s *toolSwarm) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
}

// firstWithin is how long a program waits for its first list of tools to be whole: many never ask for another.
const firstWithin = 2 * time.Second

// first tells what nodes there are before the program asks, if a daemon runs that answers soon.
func (s *toolSwarm) first(ctx context.Context, tell func([]bus.NodeInfo)) {
	ctx, cancel := context.WithTimeout(ctx, firstWithin)
	defer cancel()
	if status, err := s.Status(ctx); err == nil {
		tell(status.Nodes)
	}
}

// daemonEvery is how often a daemon is looked for that is not there.
const daemonEvery = 2 * time.Second

// follow tells what nodes there are, and what they have, until ctx ends.
func (s *toolSwarm) follow(ctx context.Context, tell func([]bus.NodeInfo)) {
	for ctx.Err() == nil {
		if conn, err := s.connected(ctx); err == nil {
			for nodes, err := range conn.WatchNodes(ctx) {
				if err == nil {
					tell(nodes)
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(daemonEvery):
		}
	}
}

// Status implements toolbox.Swarm.
func (s *toolSwarm) Status(ctx context.Context) (bus.Status, error) {
	conn, err := s.connected(ctx)
	if err != nil {
		return bus.Status{}, err
	}
	return conn.Status(ctx)
}

// Do implements toolbox.Swarm.
func (s *toolSwarm) Do(ctx context.Context, t bus.Task, piece func(bus.Chunk)) (bus.TaskInfo, error) {
	conn, err := s.connected(ctx)
	if err != nil {
		return bus.TaskInfo{}, err
	}
	return toItsEnd(conn.Submit(ctx, t), piece)
}

// Task implements toolbox.Swarm.
func (s *toolSwarm) Task(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	conn, err := s.connected(ctx)
	if err != nil {
		return bus.TaskInfo{}, err
	}
	return conn.Task(ctx, id)
}

// toolFiles are the files and the libraries of the user who runs this.
type toolFiles struct {
	*app
	swarm *toolSwarm
}

// Document implements toolbox.Local.
func (f toolFiles) Document(ctx context.Context, path string, req bus.FileRequest) (bus.Task, error) {
	if path == standardInput { // the program speaks there
		return bus.Task{}, bus.Errorf(bus.CodeInvalid, "the document is named by its path")
	}
	if i, err := os.Stat(ofHome(path)); err == nil && !i.IsDir() && !i.Mode().IsRegular() { // /dev/stdin, too
		return bus.Task{}, bus.Errorf(bus.CodeInvalid, "%s is a pipe or a device, and no file", path)
	}
	content, err := f.document(ctx, path)
	if err != nil {
		return bus.Task{}, err
	}
	return readTask(path, content, req)
}

// Libraries implements toolbox.Local.
func (f toolFiles) Libraries() ([]toolbox.Library, error) {
	all, _ := library.List(librariesDir(f.environ)) // one that is damaged is told of by myco library ls
	var out []toolbox.Library
	for _, l := range all {
		docs, err := l.Documents()
		if err != nil {
			return nil, ofLibrary(l.Name, err)
		}
		v := viewOf(l, docs)
		out = append(out, toolbox.Library{Name: v.Name, Documents: v.Documents, Passages: v.Passages, Model: v.Model, Sources: v.Sources})
	}
	return out, nil
}

// Passages implements toolbox.Local. Without a daemon they are found by their words.
func (f toolFiles) Passages(ctx context.Context, libraries []string, question string, n int) ([]toolbox.Passage, error) {
	conn, err := f.swarm.connected(ctx)
	if err != nil {
		conn = nil
	}
	found, err := f.passages(ctx, conn, libraries, question, n)
	if err != nil {
		return nil, err
	}
	out := make([]toolbox.Passage, len(found))
	for i, p := range found {
		out[i] = toolbox.Passage{Library: p.Library, Place: p.place(p.File), Text: p.Text}
	}
	return out, nil
}

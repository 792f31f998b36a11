package main

import (
	"context"
	"iter"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// patience is how long an answer may pause before the user is told what it waits for.
	patience = 3 * time.Second
	// silences is how many such pauses a task that runs may make before its first word, until the user is told who has it.
	silences = 3
	// lookLimit is how long the daemon may take to tell it.
	lookLimit = 2 * time.Second
)

// patient passes chunks on, and calls look each time that none has come for pause.
func patient(chunks iter.Seq2[bus.Chunk, error], pause time.Duration, look func()) iter.Seq2[bus.Chunk, error] {
	type item struct {
		chunk bus.Chunk
		err   error
	}
	return func(yield func(bus.Chunk, error) bool) {
		items, more := make(chan item), make(chan bool)
		go func() {
			defer close(items)
			for c, err := range chunks {
				if items <- (item{c, err}); !<-more {
					return
				}
			}
		}()
		for {
			select {
			case i, open := <-items:
				if !open {
					return
				}
				goOn := yield(i.chunk, i.err)
				if more <- goOn; !goOn {
					<-items // what ends with the loop has ended
					return
				}
			case <-time.After(pause):
				look()
			}
		}
	}
}

// waitsFor tells why a task does not go on, or goes again; why is empty where it has ended, or runs as it should, at a node.
func waitsFor(ctx context.Context, conn *bus.Conn, id bus.TaskID) (why string, at bus.NodeID) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	info, err := conn.Task(ctx, id)
	if err != nil || info.State.Terminal() {
		return "", "" // it will be told how it ended
	}
	if place := place(info); info.Warning == "" && place != "" {
		return "waits: " + place, ""
	}
	if info.State != bus.StateRunning { // it may have run there before
		return info.Warning, ""
	}
	return info.Warning, info.NodeID
}

// silence counts the looks at a task while one node has it.
type silence struct {
	at    bus.NodeID
	looks int
}

// long notes that node at has the task now, empty where none has, and reports whether that one has said nothing for long.
func (s *silence) long(at bus.NodeID) bool {
	if at != s.at { // what went before was the queue's, or another's
		*s = silence{at: at}
	}
	s.looks++
	return at != "" && s.looks >= silences
}

// waiting returns what tells, once for each cause, why a task does not go on.
func (p *printer) waiting(ctx context.Context, conn *bus.Conn) func() {
	told, quiet := "", silence{}
	return func() {
		why, at := waitsFor(ctx, conn, p.task)
		if quiet.long(at) && why == "" && !p.begun && !p.thinks {
			why = p.who(at) + " is at it, and has said nothing yet"
		}
		if why == "" || why == told {
			return
		}
		told = why
		line := ""
		if p.midLine && p.interactive {
			line = "\n"
		}
		p.hint("%s[%s]", line, why)
	}
}

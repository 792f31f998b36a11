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

// waitsFor tells why a task does not go on, or goes again; it is empty where it runs as it should, or has ended.
func waitsFor(ctx context.Context, conn *bus.Conn, id bus.TaskID) string {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	info, err := conn.Task(ctx, id)
	if err != nil || info.State.Terminal() {
		return "" // it will be told how it ended
	}
	if at := place(info); info.Warning == "" && at != "" {
		return "waits: " + at
	}
	return info.Warning
}

// waiting returns what tells, once for each cause, why a task does not go on.
func (p *printer) waiting(ctx context.Context, conn *bus.Conn) func() {
	told := ""
	return func() {
		why := waitsFor(ctx, conn, p.task)
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

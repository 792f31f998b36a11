package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

var (
	errStarting = bus.Errorf(bus.CodeUnavailable, "the daemon is starting")
	errStops    = bus.Errorf(bus.CodeUnavailable, "it stops")
)

// breakOff ends the output of a task as a daemon does that stops.
func (d *daemon) breakOff(r bus.SubmitRequest) {
	e, err := json.Marshal(errStops)
	if err == nil {
		err = d.nc.PublishMsg(&nats.Msg{Subject: r.Inbox, Header: nats.Header{bus.HeaderError: {"503"}}, Data: e})
	}
	if err != nil {
		d.t.Error(err)
	}
}

// A daemon that is started anew takes no tasks at first, and then does not know who else is there; tasks side by side
// wait for it, and say so once.
func TestWaitsForADaemonThatComesBack(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	tries := 0
	l.do(func() {
		l.refuse = func(bus.SubmitRequest) any {
			switch tries++; {
			case tries <= 5:
				return errStarting
			case tries == 6:
				return bus.Errorf(bus.CodeNoWorker, "no node reads documents")
			}
			return nil
		}
	})
	o := d.myco("library", "add", "papers", folder(t, d)).want(t, 0, "[the daemon is starting: waiting for it, 1m0s at most]", "3 documents, 4 passages; 3 read now")
	if strings.Count(o.err, "is starting") != 1 {
		t.Errorf("said\n%s", o.err)
	}
}

// A daemon that stays away is not waited for without end, nor is a task handed over again and again that ends it.
func TestGivesUpOnADaemon(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	a := &app{streams: streams{err: &bytes.Buffer{}}, dataDir: d.dir, now: time.Now}
	conn, err := a.dial(t.Context())
	must(t, err)
	defer conn.Close()
	for name, tt := range map[string]struct {
		limit  time.Duration
		refuse func(bus.SubmitRequest) any
		most   int // tries
	}{
		"away": {time.Millisecond, func(bus.SubmitRequest) any { return errStarting }, 1},
		"lost each time": {limit, func(r bus.SubmitRequest) any {
			d.breakOff(r)
			return bus.SubmitReply{ID: r.Task.ID}
		}, lostMost},
	} {
		tries := 0
		l.do(func() {
			l.refuse = func(r bus.SubmitRequest) any {
				tries++
				return tt.refuse(r)
			}
		})
		h := a.holdups(conn)
		h.awayLimit = tt.limit
		if _, _, err := h.embed(t.Context(), "m", "", bus.Batch, []string{"text"}); !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
			t.Errorf("%s: %v", name, err)
		}
		l.do(func() {
			if tries != tt.most {
				t.Errorf("%s: %d tries", name, tries)
			}
		})
	}
}

package main

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Whoever waits for an answer is told when it pauses; what comes, and how the loop ends, stays as it is.
func TestPatient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left := false
		chunks := func(yield func(bus.Chunk, error) bool) {
			defer func() { left = true }()
			for seq, pause := range []time.Duration{time.Second, 7 * time.Second, 0, time.Second} {
				if <-time.After(pause); !yield(bus.Chunk{Seq: seq}, nil) {
					return
				}
			}
		}
		var got []int
		for c, err := range patient(chunks, 3*time.Second, func() { got = append(got, -1) }) {
			if err != nil {
				t.Error(err)
			}
			if got = append(got, c.Seq); c.Seq == 2 {
				break
			}
		}
		if want := []int{0, -1, -1, 1, 2}; !slices.Equal(got, want) || !left {
			t.Errorf("got %v, and the loop was left: %t; want %v, looks as -1, and true", got, left, want)
		}
		got = nil
		for c, err := range patient(chunks, time.Hour, nil) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, c.Seq)
		}
		if want := []int{0, 1, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// A question that waits says what for, once.
func TestAskTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	d := setup(t)
	inbox, asked := make(chan string, 1), make(chan struct{}, 8)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		inbox <- r.Inbox
		return bus.SubmitReply{ID: r.Task.ID}
	})
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any {
		asked <- struct{}{}
		return bus.TaskInfo{ID: r.ID, Type: bus.TypeInference, State: bus.StateQueued, Warning: "waits: node tower is draining"}
	})
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		to := <-inbox
		for range 2 {
			select {
			case <-asked:
			case <-ctx.Done():
			}
		}
		d.send(to, piece(1, 0, "Paris it is."), done(1, paris))
	}()
	o := d.myco("ask", "Which city?").want(t, 0, "[waits: node tower is draining]\n-- tower")
	if o.out != "Paris it is.\n" {
		t.Errorf("printed %q", o.out)
	}
}

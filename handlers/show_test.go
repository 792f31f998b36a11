package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
)

// teller is a Shower.
type teller struct {
	off bool
	err error
}

func (s *teller) Pulls() bool { return !s.off }

func (s *teller) Show(_ context.Context, req bus.ShowRequest) (json.RawMessage, error) {
	return json.RawMessage(`{"of":"` + req.Model + `"}`), s.err
}

func TestShow(t *testing.T) {
	t.Parallel()
	s := &teller{}
	h := handlers.NewShow(s)
	r := handle(t.Context(), h, "", bus.ShowRequest{Model: "m"})
	if got, ok := r.result.(bus.ShowReply); r.err != nil || !ok || string(got.Show) != `{"of":"m"}` || len(r.phases) != 1 || len(r.chunks) != 0 {
		t.Errorf("%+v", r)
	}
	for _, bad := range []any{nil, []int{1}, bus.ShowRequest{}} {
		wantCode(t, handle(t.Context(), h, "", bad).err, bus.CodeInvalid, false)
	}
	for off, slots := range map[bool]int{false: 4, true: 0} {
		s.off = off
		if c, err := h.Capability(t.Context()); err != nil || c.Slots != slots || c.Type != bus.TypeShow {
			t.Errorf("without an Ollama %v: %+v, %v", off, c, err)
		}
	}
	s.err = bus.Retry(bus.Errorf(bus.CodeUnavailable, "down"))
	wantCode(t, handle(t.Context(), h, "", bus.ShowRequest{Model: "m"}).err, bus.CodeUnavailable, false)
	gone := errors.New("superseded")
	over, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if r := handle(over, h, "", bus.ShowRequest{Model: "m"}); !errors.Is(r.err, gone) {
		t.Errorf("cancelled: %v", r.err)
	}
}

package handlers_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
)

// shelf is a Puller that notes what it is asked.
type shelf struct {
	off   bool
	err   error
	asked []string
}

func (s *shelf) Pulls() bool { return !s.off }

func (s *shelf) Pull(_ context.Context, req bus.PullRequest, emit func(bus.PullProgress) error) (string, error) {
	s.asked = append(s.asked, "pull "+req.Model)
	if err := emit(bus.PullProgress{Status: "pulling manifest"}); err != nil {
		return "", err
	}
	return "http://e", s.err
}

func (s *shelf) Delete(_ context.Context, model string) (string, error) {
	s.asked = append(s.asked, "delete "+model)
	return "http://e", s.err
}

func TestPullAndDelete(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	for _, h := range []bus.Handler{handlers.NewPull(s), handlers.NewDelete(s)} {
		r := handle(t.Context(), h, "", bus.PullRequest{Model: "m"})
		if r.err != nil || r.result != (bus.ModelsReply{Model: "m", Engine: "http://e"}) || len(r.phases) != 1 {
			t.Errorf("%+v, %v, phases %v", r.result, r.err, r.phases)
		}
		for _, bad := range []any{nil, []int{1}, bus.PullRequest{}, bus.PullRequest{Model: strings.Repeat("x", 257)}} {
			wantCode(t, handle(t.Context(), h, "", bad).err, bus.CodeInvalid, false)
		}
	}
	if r := handle(t.Context(), handlers.NewPull(s), "", bus.PullRequest{Model: "m"}); strings.Join(r.chunks, "|") != "{pulling manifest  0 0}" {
		t.Errorf("progress %q", r.chunks)
	}
	if s.asked = s.asked[:2]; strings.Join(s.asked, ", ") != "pull m, delete m" {
		t.Errorf("asked: %q", s.asked)
	}
	s.err = bus.Retry(bus.Errorf(bus.CodeUnavailable, "down"))
	gone := errors.New("superseded")
	over, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	for _, h := range []bus.Handler{handlers.NewPull(s), handlers.NewDelete(s)} {
		wantCode(t, handle(t.Context(), h, "", bus.PullRequest{Model: "m"}).err, bus.CodeUnavailable, true)
		if r := handle(over, h, "", bus.PullRequest{Model: "m"}); !errors.Is(r.err, gone) {
			t.Errorf("cancelled: %v", r.err)
		}
		for off, slots := range map[bool]int{false: 2, true: 0} {
			s.off = off
			if c, err := h.Capability(t.Context()); err != nil || c.Slots != slots || len(c.Models) > 0 {
				t.Errorf("without an Ollama %v: %+v, %v", off, c, err)
			}
		}
	}
}

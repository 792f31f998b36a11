package engine_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// told is a piece, and how long after the request it came.
type told struct {
	text   string
	pieces int
	after  time.Duration
}

// socket keeps what is written until it is read, as a connection does.
type socket struct {
	come chan string
	rest string
}

// Read implements io.Reader.
func (s *socket) Read(b []byte) (int, error) {
	for more := s.rest == ""; more || len(s.come) > 0; more = false {
		piece, ok := <-s.come
		if !ok {
			break
		}
		s.rest += piece
	}
	if s.rest == "" {
		return 0, io.EOF
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// tokens writes n tokens, one every step, as word has them, and then ends.
func (s *socket) tokens(word func(string) string, ends string, n int, step time.Duration) {
	for i := range n {
		time.Sleep(step)
		s.come <- word(fmt.Sprintf("%d ", i))
	}
	s.come <- ends
	close(s.come)
}

// An answer is told token by token where a person can follow, and what is quicker goes together. The first
// token comes at once, and none comes later than a few milliseconds.
func TestPace(t *testing.T) {
	t.Parallel()
	kinds := map[string]struct {
		word func(string) string
		ends string
	}{
		engine.KindOllama: {line, doneLine},
		engine.KindOpenAI: {event, finish + doneEvent},
	}
	for kind, k := range kinds {
		for _, c := range []struct {
			step time.Duration
			most int // messages for 100 tokens
			late time.Duration
		}{
			{20 * time.Millisecond, 100, 0},
			{5 * time.Millisecond, 100, 0},
			{time.Millisecond, 27, 4 * time.Millisecond},
			{100 * time.Microsecond, 6, 4 * time.Millisecond},
		} {
			t.Run(fmt.Sprint(kind, " ", c.step), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					body, begun := &socket{come: make(chan string, 200)}, time.Now()
					go body.tokens(k.word, k.ends, 100, c.step)
					var got []told
					res, err := engine.Readers()[kind](t.Context(), body, func(p bus.InferenceChunk) error {
						got = append(got, told{p.Text, len(p.Parts()), time.Since(begun)})
						return nil
					})
					if err != nil || len(got) == 0 {
						t.Fatalf("%+v, %v", got, err)
					}
					all, n := "", 0
					for _, g := range got {
						all, n = all+g.text, n+g.pieces
						if late := g.after - time.Duration(n-g.pieces+1)*c.step; late > c.late {
							t.Errorf("token %d comes %v late", n-g.pieces, late)
						}
					}
					if all != res.Text || n != 100 || strings.Count(all, " ") != 100 || len(got) > c.most {
						t.Errorf("%d tokens in %d messages, want 100 in %d at most: %q", n, len(got), c.most, all)
					}
					if got[0].after != c.step || got[0].pieces != 1 {
						t.Errorf("the first message is %+v, want one token after %v", got[0], c.step)
					}
				})
			})
		}
	}
}

// Who is told no longer listens, or the engine breaks off: what it said before is told.
func TestPaceEnds(t *testing.T) {
	t.Parallel()
	left := errors.New("left")
	for kind, read := range engine.Readers() {
		word := event
		if kind == engine.KindOllama {
			word = line
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			_, err := read(t.Context(), strings.NewReader(word("a")+word("b")), func(bus.InferenceChunk) error { return left })
			if !errors.Is(err, left) {
				t.Errorf("the error of who is told: %v", err)
			}
			said := ""
			if _, err := read(t.Context(), strings.NewReader(word("a")+word("b")), func(c bus.InferenceChunk) error {
				said += c.Text
				return nil
			}); err == nil || said != "ab" {
				t.Errorf("an answer without its end: %q, %v", said, err)
			}
		})
	}
}

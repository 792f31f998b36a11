package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Answers have so much room: the oldest that are written give way, and where none is, the one that grows ends.
func TestRoomForAnswers(t *testing.T) {
	t.Parallel()
	var s answers
	begin := func(i int) *keptAnswer {
		t.Helper()
		a, err := s.begin(answerName{"", fmt.Sprintf("answer-number-%04d", i)}, nil, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.leave.Stop() })
		return a
	}
	long := begin(0)
	for _, step := range []struct {
		bytes int
		want  error
	}{{answerMost, nil}, {1, errLongAnswer}, {answerEnd, nil}, {1, errLongAnswer}} { // the third is what tells why it ends
		if err := long.grow(step.bytes); !errors.Is(err, step.want) {
			t.Errorf("%d bytes more: error %v, want %v", step.bytes, err, step.want)
		}
	}
	if s.by[long.name] != nil || s.bytes != answerMost+answerEnd {
		t.Errorf("one that is too long is kept, or takes no room while it is read: %d bytes", s.bytes)
	}
	s.close(long)
	if s.ended(long); s.bytes != 0 || len(s.order) != 0 {
		t.Errorf("nobody has it, and it takes %d bytes", s.bytes)
	}

	const fit = answersMost / answerMost / 2 // at one time
	var all []*keptAnswer
	for i := range fit {
		a := begin(1 + i)
		if err := a.grow(answerMost); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		all = append(all, a)
	}
	late := begin(100)
	if err := late.grow(1); !errors.Is(err, errLongAnswer) || s.bytes != answersMost/2 {
		t.Errorf("without room: error %v, %d bytes are kept", err, s.bytes)
	}
	if err := late.grow(answerEnd + 1); !errors.Is(err, errLongAnswer) {
		t.Errorf("it is written on beside the room: error %v", err)
	}
	for _, a := range all {
		a.status = 200
		s.close(a)
		s.ended(a)
	}
	for i := range fit { // beside those that are written
		if err := begin(101 + i).grow(answerMost); err != nil {
			t.Errorf("one more answer: %v", err)
		}
	}
	if _, err := s.find(all[0].name); err == nil {
		t.Error("one is read beyond the room for those that are written or read")
	}
	for _, a := range slices.Clone(s.order) {
		if a.idle() {
			continue
		}
		a.status = 200
		s.close(a)
		s.ended(a)
	}
	if err := begin(201).grow(1); err != nil || s.by[all[0].name] != nil || s.by[all[1].name] == nil || s.bytes != answersMost-answerMost+1 {
		t.Errorf("with what is written and read by nobody: error %v, %d bytes are kept", err, s.bytes)
	}
}

// However many answers one key has written or read at a time, and of whatever length, there is room for those of others.
func TestRoomForAnswersOfOthers(t *testing.T) {
	t.Parallel()
	var s answers
	for u := range 3 {
		var err error
		for i := 0; err == nil && i <= answersLong; i++ {
			var a *keptAnswer
			if a, err = s.begin(answerName{fmt.Sprint("key-", u), fmt.Sprintf("answer-number-%04d", i)}, nil, func(error) {}); err == nil {
				_ = a.grow(answerMost)
				s.stop(a.name) // it is read on
			}
		}
		if !errors.Is(err, errManyAnswers) {
			t.Errorf("user %d has any number of answers: %v", u, err)
		}
	}
	if len(s.order) > answersLong || s.bytes > answersMost {
		t.Errorf("%d answers take %d bytes", len(s.order), s.bytes)
	}
	a, err := s.begin(answerName{"", "one-of-somebody-else"}, nil, func(error) {})
	if err == nil {
		t.Cleanup(func() { a.leave.Stop() })
		err = a.grow(answerMost / 4)
	}
	if err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

// A body that is too long has its connection closed, also where its answer is kept: the rest is not waited for.
func TestConnectionOfAKeptAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewRecorder()
	if w := unwrapped(&scribe{conn: &statusRecorder{ResponseWriter: server}}); w != server {
		t.Errorf("the server's response is %T", w)
	}
}

// Where one key has many answers, its own give way, and not those of others.
func TestAnswersGiveWayToTheirOwn(t *testing.T) {
	t.Parallel()
	var s answers
	keep := func(user string, i, size int) answerName {
		t.Helper()
		a, err := s.begin(answerName{user, fmt.Sprintf("answer-number-%04d", i)}, nil, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.leave.Stop() })
		if err := a.grow(size); err != nil {
			t.Fatal(err)
		}
		a.status = http.StatusOK
		s.ended(a)
		s.close(a)
		return a.name
	}
	few := keep("", 0, answerMost/2)
	for i := range 3 * answersMost / answerMost {
		keep("key-many", i, answerMost)
	}
	for i := range answersLong {
		keep("key-small", i, 1)
	}
	if s.by[few] == nil || len(s.order) != answersLong || s.bytes > answersMost {
		t.Errorf("of %d answers, %d bytes, those of the first are kept: %v", len(s.order), s.bytes, s.by[few] != nil)
	}
}

// slowly is a client that takes most of a minute for each piece.
type slowly struct {
	*httptest.ResponseRecorder
	pieces int
}

func (s *slowly) Write(p []byte) (int, error) {
	s.pieces++
	time.Sleep(50 * time.Second)
	return len(p), nil
}

// Who reads slowly with a key that was revoked does not read on to the end.
func TestRevokedKeyReadsNoFurther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(Key{})
		a := &keptAnswer{transcript: newTranscript(nil), holder: h}
		a.status, a.written, a.over = http.StatusOK, make([]byte, answerMost), true
		ctx, end := context.WithCancelCause(context.WithValue(t.Context(), holderKey{}, h))
		reading, leave := a.reading(httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		defer leave()
		end(errRevoked)
		w := &slowly{ResponseRecorder: httptest.NewRecorder()}
		if begun, err := a.copyTo(reading, w, 0); !begun || !errors.Is(err, context.Canceled) || w.pieces != 2 {
			t.Errorf("begun: %v, error %v, after %d pieces", begun, err, w.pieces)
		}
	})
}

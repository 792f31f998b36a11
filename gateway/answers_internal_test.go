package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Answers have so much room: the oldest that are written give way, and where none is, the one that grows ends.
func TestRoomForAnswers(t *testing.T) {
	t.Parallel()
	var s answers
	begin := func(i int) *keptAnswer {
		t.Helper()
		a, err := s.begin(answerName{"", fmt.Sprintf("answer-number-%04d", i)}, func(error) {})
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
	if s.find(long.name) != nil || s.bytes != 0 {
		t.Errorf("one that is too long is kept: %d bytes", s.bytes)
	}

	const fit = answersMost / answerMost
	var all []*keptAnswer
	for i := range fit {
		a := begin(1 + i)
		if err := a.grow(answerMost); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		all = append(all, a)
	}
	late := begin(100)
	if err := late.grow(1); !errors.Is(err, errLongAnswer) || s.bytes != answersMost {
		t.Errorf("without room: error %v, %d bytes are kept", err, s.bytes)
	}
	if err := late.grow(answerEnd + 1); !errors.Is(err, errLongAnswer) {
		t.Errorf("it is written on beside the room: error %v", err)
	}
	for _, a := range all[:3] {
		a.status = 200
		s.ended(a)
	}
	s.close(all[1]) // the others are read
	if err := begin(101).grow(1); err != nil || s.find(all[1].name) != nil || s.find(all[0].name) == nil || s.bytes != answersMost-answerMost+1 {
		t.Errorf("with one that is written and read by nobody: error %v, %d bytes are kept", err, s.bytes)
	}

	for i := len(s.order); i < answersLong; i++ {
		begin(1000 + i)
	}
	if _, err := s.begin(answerName{"", "one-more-than-there-may-be"}, nil); err == nil {
		t.Errorf("%d answers are written, and there is one more", len(s.order))
	}
}

// A body that is too long has its connection closed, also where its answer is kept: the rest is not waited for.
func TestConnectionOfAKeptAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewRecorder()
	if w := unwrapped(&scribe{conn: &answer{ResponseWriter: server}}); w != server {
		t.Errorf("the server's response is %T", w)
	}
}

// Where one key has many answers, its own give way, and not those of others.
func TestAnswersGiveWayToTheirOwn(t *testing.T) {
	t.Parallel()
	var s answers
	keep := func(user string, i, size int) answerName {
		t.Helper()
		a, err := s.begin(answerName{user, fmt.Sprintf("answer-number-%04d", i)}, func(error) {})
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

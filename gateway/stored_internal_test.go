package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Responses have so much room: the oldest of who has the most give way, and one that is too large is not stored.
func TestRoomForResponses(t *testing.T) {
	t.Parallel()
	var s storedResponses
	add := func(user string, i, size int) (string, bool) {
		id := fmt.Sprintf("resp_%s%d", user, i)
		return id, s.add(&storedResponse{name: storedName{user, id}, size: size})
	}
	if _, ok := add("a", 0, storedOne+1); ok || s.bytes != 0 {
		t.Errorf("one of %d bytes is stored", storedOne+1)
	}
	guest, _ := add("b", 0, 1<<20)
	var mine []string
	for i := range 2 * storedMost / storedOne {
		id, ok := add("a", i, storedOne)
		if mine = append(mine, id); !ok {
			t.Errorf("response %d is not stored", i)
		}
		if s.bytes > storedMost {
			t.Fatalf("%d bytes are stored", s.bytes)
		}
	}
	if s.find(storedName{"b", guest}) == nil || s.find(storedName{"a", mine[len(mine)-1]}) == nil || s.find(storedName{"a", mine[0]}) != nil {
		t.Errorf("stored: %v", s.by)
	}
	for i := range 2 * storedLong {
		add("c", i, 1)
	}
	if s.find(storedName{"b", guest}) == nil || len(s.order) > storedLong || len(s.by) != len(s.order) {
		t.Errorf("%d responses are stored, and named %d", len(s.order), len(s.by))
	}
}

// What a response counts for grows with all that its conversation says, and with how many items that has.
func TestSizeOfAResponse(t *testing.T) {
	t.Parallel()
	g := &Gateway{room: newRoom(64 * step)}
	stored := func(in responsesInput) int {
		q := responsesQuestion{id: string(bus.NewTaskID())}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/responses", nil)
		done, err := g.limitBody(httptest.NewRecorder(), r)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		q.storeFor(g, r, in)
		if held := r.Body.(*body).held; held != 1 { // the first one is free
			t.Errorf("the request counts for %d MiB, want 1", held)
		}
		q.store(&responsesReply{ID: responseID(q.id)})
		return g.stored.find(storedName{"", responseID(q.id)}).size
	}
	long := strings.Repeat("x", 1<<20)
	image := openAIPart{ImageURL: imageURL{base64Image{image: []byte(long)}}}
	file := openAIFile{Data: fileData{base64Image: base64Image{image: []byte(long)}}} // beside a text, where nobody reads it
	for _, item := range []responsesItem{
		{ID: long},
		{Role: long},
		{Name: long},
		{Namespace: long},
		{Arguments: long},
		{CallID: long},
		{EncryptedContent: long},
		{Summary: []struct{ Text string }{{long}}},
		{Summary: make([]struct{ Text string }, 1<<16)},
		{Content: openAIContent{text: long}},
		{Output: openAIContent{text: long}},
		{Content: openAIContent{parts: []openAIPart{{Text: long}}}},
		{Content: openAIContent{parts: []openAIPart{{Refusal: long}}}},
		{Output: openAIContent{parts: []openAIPart{image}}},
		{Content: openAIContent{parts: []openAIPart{{Type: long}}}},
		{Content: openAIContent{parts: []openAIPart{{openAIFile: file}}}},
		{Content: openAIContent{parts: []openAIPart{{File: file}}}},
		{Content: openAIContent{parts: []openAIPart{{File: openAIFile{Name: long}}}}},
	} {
		if n := stored(responsesInput{items: []responsesItem{item}}); n < 1<<20 || n > 1<<20+4096 {
			t.Errorf("%d bytes of %.60q", n, fmt.Sprintf("%+v", item))
		}
	}
	if n := stored(responsesInput{items: make([]responsesItem, 3000)}); n < 3000*storedItem {
		t.Errorf("3000 items: %d bytes", n)
	}
}

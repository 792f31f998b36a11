package gateway_test

import (
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// asksOf is a question about a document in base64, of a title.
func asksOf(title, data string) string {
	return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[
		{"type":"document","title":"` + title + `","source":{"type":"base64","media_type":"application/pdf","data":"` + data + `"}}]}]}`
}

// A document that a conversation has in each of its requests is read once: for whose key asks, and by all that decides its text.
func TestDocumentsAreReadOnce(t *testing.T) {
	t.Parallel()
	var read atomic.Int32
	o, g := newReader(t, func(req bus.FileRequest) (any, error) {
		if read.Add(1); strings.HasPrefix(string(req.Content), "no") {
			return nil, bus.Errorf(bus.CodeUnavailable, "not now")
		}
		return aloud(req)
	})
	phone, secret := made("phone", bus.KeyRequest{})
	g.SetKeys([]gateway.Key{phone})
	const file = `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a","file_data":"data:application/pdf;base64,aGk="}}]}]}`
	for _, c := range []struct {
		what, path, body, key string
		status                int
		read                  int32
	}{
		{"a document", "/v1/messages", asksOf("a", "aGk="), key, 200, 1},
		{"once more", "/v1/messages", asksOf("a", "aGk="), key, 200, 1},
		{"in another interface", "/v1/chat/completions", file, key, 200, 1},
		{"under another name", "/v1/messages", asksOf("b", "aGk="), key, 200, 2},
		{"another one", "/v1/messages", asksOf("a", "aGg="), key, 200, 3},
		{"of another kind", "/v1/messages", strings.Replace(asksOf("a", "aGk="), "application/pdf", "text/plain", 1), key, 200, 4},
		{"of another user", "/v1/messages", asksOf("a", "aGk="), secret, 200, 5},
		{"of the other user again", "/v1/messages", asksOf("a", "aGk="), secret, 200, 5},
		{"of the first one again", "/v1/messages", asksOf("a", "aGk="), key, 200, 5},
		{"one that fails", "/v1/messages", asksOf("a", "bm8="), key, 503, 6},
		{"that fails again", "/v1/messages", asksOf("a", "bm8="), key, 503, 7},
	} {
		w := call(t, g, "POST", c.path, c.body, "Authorization", "Bearer "+c.key)
		if n := read.Load(); w.Code != c.status || n != c.read {
			t.Errorf("%s: %d %s, %d readings, want %d", c.what, w.Code, w.Body, n, c.read)
		}
	}
	// What is kept is there without a node that reads.
	o.nodes[1].Types = managing
	if w := call(t, g, "POST", "/v1/messages", asksOf("a", "aGk=")); w.Code != 200 {
		t.Errorf("without a node that reads: %d %s", w.Code, w.Body)
	}
}

// Requests that have the same document at the same time have it read once.
func TestDocumentIsReadOnceForSeveral(t *testing.T) {
	t.Parallel()
	var read atomic.Int32
	begun, let := make(chan struct{}, 4), make(chan struct{})
	o, g := newReader(t, func(req bus.FileRequest) (any, error) {
		read.Add(1)
		begun <- struct{}{}
		<-let
		return aloud(req)
	})
	ended := make(chan *httptest.ResponseRecorder, 3)
	for range 3 {
		go func() { ended <- call(t, g, "POST", "/v1/messages", asksOf("a", "aGk=")) }()
	}
	<-begun
	close(let)
	for range 3 {
		wantStatus(t, "one of three", awaitEnd(t, "one of three", ended), 200)
	}
	if n := read.Load(); n != 1 || len(o.tasks) != 4 {
		t.Errorf("%d readings, %d tasks", n, len(o.tasks))
	}
}

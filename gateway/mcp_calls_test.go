package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

const sessionHeader = "Mcp-Session-Id"

// cancelling is a message that cancels the call of an id.
func cancelling(id string) string {
	return `{"do":"none","jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `,"reason":"of the user"}}`
}

// A program may cancel a call by a message of its own, and wait for the end of the answer: its own calls, in the session that it was
// given, by the id as it is.
func TestToolCallsAreCancelledByAMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		phone, secret := made("phone", bus.KeyRequest{Concurrent: 1})
		tablet, another := made("tablet", bus.KeyRequest{})
		c := crowded{&swarm{}, time.Hour, 0, nil, make(chan bus.TaskID, 8), true}
		g, err := gateway.New(gateway.Config{Swarm: c, Key: key, Keys: []gateway.Key{phone, tablet}, MCP: tools})
		if err != nil {
			t.Fatal(err)
		}
		say := func(secret, session, message string) *httptest.ResponseRecorder {
			return from(t, g, afar, "POST", "/mcp", message, "Authorization", "Bearer "+secret, sessionHeader, session)
		}
		begin := `{"do":"none","jsonrpc":"2.0","id":0,"method":"initialize"}`
		session, other := say(secret, "", begin).Header().Get(sessionHeader), say(secret, "", begin).Header().Get(sessionHeader)
		if len(session) < 20 || session == other {
			t.Fatalf("the sessions are %q and %q", session, other)
		}
		for _, id := range []string{`1`, `1`, `"a \u0061"`, `-0.5`} {
			over := make(chan *httptest.ResponseRecorder, 1)
			go func() {
				over <- say(secret, session, `{"do":"inference","jsonrpc":"2.0","id":`+id+`,"method":"tools/call"}`)
			}()
			<-c.ids
			for _, wrong := range []struct{ secret, session, message string }{
				{another, session, cancelling(id)},
				{secret, other, cancelling(id)},
				{secret, "", cancelling(id)},
				{secret, session, cancelling(`"1"`)},
				{secret, session, cancelling(`[` + id + `]`)},
				{secret, session, cancelling(`{}`)},
				{secret, session, cancelling(`null`)},
				{secret, session, strings.Replace(cancelling(id), `"method"`, `"id":7,"method"`, 1)},
			} {
				w := say(wrong.secret, wrong.session, wrong.message)
				if full := w.Code == http.StatusTooManyRequests; full != (wrong.secret == secret) { // what cancels nothing is a request
					t.Errorf("%+v: %d %s", wrong, w.Code, w.Body)
				}
			}
			synctest.Wait()
			select {
			case w := <-over:
				t.Fatalf("%s: what is for another call has ended it: %d %s", id, w.Code, w.Body)
			default:
			}
			if w := say(secret, session, cancelling(id)); w.Code == http.StatusTooManyRequests {
				t.Errorf("%s: a key that has reached its limit cannot cancel: %d %s", id, w.Code, w.Body)
			}
			if a := toolsSay(t, <-over); a.Error == nil || a.Error.Code != bus.CodeCancelled {
				t.Errorf("%s: %+v", id, a)
			}
		}
	})
}

// What cancels a call is no request of its key, however many the key may make; what cancels nothing is one.
func TestCancelsThatCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		phone, secret := made("phone", bus.KeyRequest{PerMinute: 2})
		c := crowded{&swarm{}, time.Hour, 0, nil, make(chan bus.TaskID, 8), true}
		g, err := gateway.New(gateway.Config{Swarm: c, Key: key, Keys: []gateway.Key{phone}, MCP: tools})
		if err != nil {
			t.Fatal(err)
		}
		say := func(message string) *httptest.ResponseRecorder {
			return from(t, g, afar, "POST", "/mcp", message, "Authorization", "Bearer "+secret, sessionHeader, "s")
		}
		for _, id := range []string{"1", "2"} {
			over := make(chan *httptest.ResponseRecorder, 1)
			go func() {
				over <- say(`{"do":"inference","jsonrpc":"2.0","id":` + id + `,"method":"tools/call"}`)
			}()
			select {
			case <-c.ids:
			case w := <-over:
				t.Fatalf("call %s: %d %s", id, w.Code, w.Body)
			}
			if w := say(cancelling(id)); w.Code == http.StatusTooManyRequests {
				t.Errorf("cancel %s: %d %s", id, w.Code, w.Body)
			}
			<-over
		}
		if w := say(cancelling("1")); w.Code != http.StatusTooManyRequests {
			t.Errorf("what cancels nothing: %d %s", w.Code, w.Body)
		}
	})
}

package gateway_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

const (
	answerName = "an-answer-of-mine"
	streamed   = hello + `,"stream":true}`
)

// halting is a swarm that says one word, and the rest once it is let go.
type halting struct {
	*oracle
	let  chan struct{}
	left chan error // how a task was cancelled
}

func newHalting(t *testing.T) halting {
	t.Helper()
	o, _ := newOracle(t, answers)
	return halting{o, make(chan struct{}), make(chan error, 4)}
}

func (h halting) Stream(ctx context.Context, t bus.Task, out func(bus.Chunk) error) (bus.TaskInfo, error) {
	said := false
	h.say = func(t bus.Task, out func(bus.Chunk) error) (any, error) {
		all := chunks(1, texts("Pa", "ri", "s")...)
		for _, c := range all {
			if said {
				select {
				case <-h.let:
				case <-ctx.Done():
					h.left <- context.Cause(ctx)
					return nil, context.Cause(ctx)
				}
			}
			if err := out(c); err != nil {
				return nil, err
			}
			said = true
		}
		return bus.InferenceResult{Text: "Paris"}, nil
	}
	return h.oracle.Stream(ctx, t, out)
}

// ends waits until a task is cancelled, and returns why.
func (h halting) ends(t *testing.T) error {
	t.Helper()
	select {
	case why := <-h.left:
		return why
	case <-time.After(limit):
		t.Fatal("the task goes on")
		return nil
	}
}

// askFor asks over a connection of its own, and hangs up at the first word. It returns the header of the answer.
func askFor(t *testing.T, url string, header ...string) http.Header {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(streamed))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Myco-Answer", answerName)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // what was cancelled
	defer cancel()
	for events := bufio.NewScanner(resp.Body); events.Scan(); {
		if strings.Contains(events.Text(), `"Pa"`) {
			return resp.Header
		}
	}
	t.Fatalf("%s, without a word", resp.Status)
	return nil
}

// A client that drops has its answer written on, and comes back for what it does not have: each event once, in order.
func TestAnswerIsKept(t *testing.T) {
	t.Parallel()
	h := newHalting(t)
	g := newGateway(t, h)
	server := httptest.NewServer(g)
	defer server.Close()
	if header := askFor(t, server.URL); header.Get("X-Myco-Node") != string(other) {
		t.Errorf("header %v", header)
	}
	wants := func(what string, w *httptest.ResponseRecorder, status int, words string) {
		t.Helper()
		if w.Code != status || !strings.Contains(w.Body.String(), words) {
			t.Errorf("%s: %d %s, want %d %s", what, w.Code, w.Body, status, words)
		}
	}
	wants("the name once more", call(t, g, "POST", "/v1/chat/completions", streamed, "X-Myco-Answer", answerName), http.StatusConflict, "GET /v1/answers/"+answerName)
	wants("an event that is not there", call(t, g, "GET", "/v1/answers/"+answerName, "", "Last-Event-ID", "2"), http.StatusBadRequest, "fewer events")
	wants("an event that is none", call(t, g, "GET", "/v1/answers/"+answerName, "", "Last-Event-ID", "x"), http.StatusBadRequest, "number of an event")
	got := make(chan *httptest.ResponseRecorder)
	for _, last := range []string{"0", "1"} { // while it is written
		go func() { got <- call(t, g, "GET", "/v1/answers/"+answerName, "", "Last-Event-ID", last) }()
	}
	close(h.let)
	all, rest := (<-got).Body.String(), (<-got).Body.String()
	if len(all) < len(rest) {
		all, rest = rest, all
	}
	if first, found := strings.CutSuffix(all, rest); !found || !strings.HasPrefix(first, "id: 1\ndata: {") || !strings.Contains(first, `"Pa"`) {
		t.Errorf("all is\n%s\nthe rest\n%s", all, rest)
	}
	wants("at its end", call(t, g, "GET", "/v1/answers/"+answerName, ""), http.StatusOK, all)
	for i, id := range []string{"id: 2\n", "id: 3\n", "id: 4\n", "id: 5\ndata: [DONE]\n\n"} {
		if strings.Count(rest, id) != 1 {
			t.Errorf("event %d is there %d times: %s", i+2, strings.Count(rest, id), rest)
		}
	}
	wants("after its end", call(t, g, "GET", "/v1/answers/"+answerName, "", "Last-Event-ID", "5"), http.StatusNoContent, "")
	if w := call(t, g, "GET", "/v1/answers/"+answerName, ""); w.Header().Get("Content-Type") != "text/event-stream" || w.Header().Get("X-Myco-Node") != string(other) {
		t.Errorf("header %v", w.Header())
	}
	wants("one that is not there", call(t, g, "GET", "/v1/answers/another-of-mine-1", ""), http.StatusNotFound, "there is no answer")
	for _, name := range []string{"short", strings.Repeat("x", 65), "../../../../../etc/x"} {
		wants(name, call(t, g, "POST", "/v1/chat/completions", streamed, "X-Myco-Answer", name), http.StatusBadRequest, "16 to 64")
	}
	select {
	case why := <-h.left:
		t.Errorf("it was cancelled: %v", why)
	default:
	}
}

// An answer is for whose key has asked. A key that may make one request at a time is busy as long as its answer is written, and may
// stop it; one that is revoked has nothing written any more.
func TestKeptAnswerHasAnOwner(t *testing.T) {
	t.Parallel()
	h := newHalting(t)
	mine, secret := made("mine", bus.KeyRequest{Concurrent: 1})
	theirs, guest := made("theirs", bus.KeyRequest{})
	g := keyring(t, h, mine, theirs)
	server := httptest.NewServer(g)
	defer server.Close()
	defer g.Close() // which ends what a failed test has left
	with := func(key string) []string { return []string{"Authorization", "Bearer " + key} }
	get := func(method, key string) *httptest.ResponseRecorder {
		// With the number of an event that is not there, so that whoever finds the answer is not held by it.
		return from(t, g, afar, method, "/v1/answers/"+answerName, "", append(with(key), "Last-Event-ID", "99")...)
	}
	for range 2 { // the second time its name is free
		askFor(t, server.URL, with(secret)...)
		for _, method := range []string{"GET", "DELETE"} {
			wantStatus(t, method+" of another's", get(method, guest), http.StatusNotFound)
		}
		wantStatus(t, "a second at one time", from(t, g, afar, "POST", "/v1/chat/completions", streamed, with(secret)...), http.StatusTooManyRequests)
		wantStatus(t, "stop it", get("DELETE", secret), http.StatusNoContent)
		if why := h.ends(t); why == nil || !strings.Contains(why.Error(), "stopped") {
			t.Errorf("it was cancelled: %v", why)
		}
		wantStatus(t, "stop it again", get("DELETE", secret), http.StatusNotFound)
		for from(t, g, afar, "POST", "/v1/chat/completions", "{}", with(secret)...).Code == http.StatusTooManyRequests {
			runtime.Gosched() // until the server is through with the request that was stopped, the key is busy
		}
	}
	askFor(t, server.URL, with(guest)...)
	g.SetKeys([]gateway.Key{mine})
	if why := h.ends(t); why == nil || !strings.Contains(why.Error(), "revoked") {
		t.Errorf("it was cancelled: %v", why)
	}
}

// An answer is kept for an hour from when it was last read, whether it is written then or not.
func TestUnreadAnswerIsDropped(t *testing.T) {
	t.Parallel()
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHalting(t)
			g := newGateway(t, h)
			ctx, leave := context.WithCancel(t.Context())
			req := httptest.NewRequestWithContext(ctx, "POST", "http://127.0.0.1/v1/chat/completions", strings.NewReader(streamed))
			req.RemoteAddr = "127.0.0.1:5"
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Myco-Answer", answerName)
			over := make(chan struct{})
			go func() {
				defer close(over)
				g.ServeHTTP(httptest.NewRecorder(), req)
			}()
			synctest.Wait()
			leave()
			if ends {
				close(h.let)
			}
			for range 3 {
				time.Sleep(59 * time.Minute)
				wantStatus(t, "read", local(t, g, "HEAD", "/v1/answers/"+answerName, "", "Last-Event-ID", map[bool]string{false: "9", true: "1"}[ends]),
					map[bool]int{false: http.StatusBadRequest, true: http.StatusOK}[ends])
			}
			time.Sleep(time.Hour + time.Second)
			wantStatus(t, "after an hour", local(t, g, "GET", "/v1/answers/"+answerName, ""), http.StatusNotFound)
			<-over
			if !ends {
				if why := h.ends(t); why == nil || !strings.Contains(why.Error(), "nobody has read") {
					t.Errorf("it was cancelled: %v", why)
				}
			}
		})
	}
}

// An answer that is an error is not kept: who asks again under the name gets another.
func TestErrorIsNotKept(t *testing.T) {
	t.Parallel()
	_, g := newOracle(t, answers)
	for range 2 {
		wantStatus(t, "no model", call(t, g, "POST", "/v1/chat/completions", `{"model":"","messages":[],"stream":true}`, "X-Myco-Answer", answerName), http.StatusBadRequest)
	}
	wantStatus(t, "an answer at once", call(t, g, "POST", "/v1/chat/completions", hello+`}`, "X-Myco-Answer", answerName), http.StatusOK)
	if w := call(t, g, "GET", "/v1/answers/"+answerName, ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"Paris.`) {
		t.Errorf("it is not kept: %d %s", w.Code, w.Body)
	}
}

// An answer that there is no room for says so, and is none that looks whole.
func TestAnswerWithoutRoom(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	_, g := newOracle(t, func(_ bus.Task, out func(bus.Chunk) error) (any, error) {
		for _, c := range chunks(1, texts(slices.Repeat([]string{long}, 17)...)...) {
			if err := out(c); err != nil {
				return nil, err
			}
		}
		return bus.InferenceResult{Text: strings.Repeat(long, 17)}, nil
	})
	for _, c := range []struct {
		body   string
		status int
	}{{hello + "}", http.StatusRequestEntityTooLarge}, {streamed, http.StatusOK}} {
		w := call(t, g, "POST", "/v1/chat/completions", c.body, "X-Myco-Answer", answerName)
		said := w.Body.String()
		said = said[max(0, len(said)-1000):]
		if w.Code != c.status || !strings.Contains(said, `"the answer is longer than there is room for`) || strings.Contains(said, `"cancelled"`) {
			t.Errorf("%d, at its end %s, want %d, and why", w.Code, said, c.status)
		}
		wantStatus(t, "read it", call(t, g, "GET", "/v1/answers/"+answerName, ""), http.StatusNotFound)
	}
}

// Who waits for an answer with a key, or reads it, hears that the key was revoked.
func TestWaitingWithARevokedKey(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{hello + "}": http.StatusForbidden, streamed: http.StatusOK} {
		synctest.Test(t, func(t *testing.T) {
			mine, secret := made("mine", bus.KeyRequest{})
			g, err := gateway.New(gateway.Config{Swarm: newHalting(t), Key: key, Keys: []gateway.Key{mine}})
			if err != nil {
				t.Fatal(err)
			}
			var waiting sync.WaitGroup
			for _, c := range [][3]string{{"POST", "/v1/chat/completions", body}, {"GET", "/v1/answers/" + answerName}, {"HEAD", "/v1/answers/" + answerName}} {
				waiting.Go(func() {
					w := from(t, g, afar, c[0], c[1], c[2], "Authorization", "Bearer "+secret, "X-Myco-Answer", answerName)
					if w.Code != status || !strings.Contains(w.Body.String(), "was revoked") {
						t.Errorf("%s: %d %s, want %d, and why", c[0], w.Code, w.Body, status)
					}
				})
				synctest.Wait()
			}
			g.SetKeys(nil)
			waiting.Wait()
		})
	}
}

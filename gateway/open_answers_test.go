package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// slowly is a client that takes what is written to it once it is told to.
type slowly struct {
	*httptest.ResponseRecorder
	reads <-chan struct{}
}

func (s slowly) Write(p []byte) (int, error) {
	<-s.reads
	return s.ResponseRecorder.Write(p)
}

func (s slowly) FlushError() error { return nil }

// Who stops waits for the clients that have something of their answers, and for no others.
func TestSettle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, body string }{
		"a stream":              {"/v1/chat/completions", hello + `,"stream":true}`},
		"an answer at once":     {"/v1/chat/completions", hello + `}`},
		"lines":                 {"/api/chat", hello + `}`},
		"a tool":                {"/mcp", `{"do":"inference","model":"m"}`},
		"a task":                {"/task", `{"type":"inference","model":"m","payload":{"prompt":"hi"}}`},
		"a task, and its words": {"/task?events=1", `{"type":"inference","model":"m","payload":{"prompt":"hi"}}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			o, _ := newOracle(t, answers)
			g, err := gateway.New(gateway.Config{Swarm: o, Key: key, MCP: tools})
			if err != nil {
				t.Fatal(err)
			}
			reads, ended := make(chan struct{}), make(chan struct{})
			w := slowly{httptest.NewRecorder(), reads}
			go func() {
				defer close(ended)
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, c.path, strings.NewReader(c.body))
				r.Host, r.RemoteAddr = "127.0.0.1", "127.0.0.1:5"
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+key)
				g.ServeHTTP(w, r)
			}()
			synctest.Wait()
			settled := settling(t.Context(), g)
			synctest.Wait()
			select {
			case <-settled:
				t.Fatalf("%s: nobody waits for who reads", name)
			default:
			}
			close(reads)
			<-settled
			<-ended
			if w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		})
	}
}

// A question that waits for a node is not waited for, and who never reads no longer than there is time.
func TestSettleHasAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := crowded{&swarm{}, 30 * time.Second, 0, nil, make(chan bus.TaskID, 8), true}
		g, err := gateway.New(gateway.Config{Swarm: c, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		reads, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(hello+`}`))
			r.Host, r.RemoteAddr = "127.0.0.1", "127.0.0.1:5"
			r.Header.Set("Content-Type", "application/json")
			g.ServeHTTP(slowly{httptest.NewRecorder(), reads}, r)
		}()
		<-c.ids
		began := time.Now()
		<-settling(t.Context(), g)
		if took := time.Since(began); took > 0 {
			t.Errorf("what has not begun is waited for, for %v", took)
		}
		time.Sleep(31 * time.Second) // of the simulated clock
		began = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		<-settling(ctx, g)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("who reads nothing is waited for, for %v", took)
		}
		close(reads)
		<-ended
	})
}

// settling has g settle, and tells when it has.
func settling(ctx context.Context, g *gateway.Gateway) <-chan struct{} {
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		g.Settle(ctx)
	}()
	return settled
}

//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// listener counts what it hears with the canary in it.
type listener struct {
	name  string
	heard atomic.Int64 // anything
	leaks atomic.Int64
	where atomic.Value // the subject of one leak
}

// listen subscribes to everything that may hold a prompt; most of that is refused.
func listen(t *testing.T, n *harness.Node, name, creds string, inbox func(bus.NodeID) string, canary string, ids ...bus.NodeID) *listener {
	t.Helper()
	l := &listener{name: name}
	nc := dialSeed(t, n, readFile(t, n, creds), inbox(n.Info.NodeID))
	t.Cleanup(nc.Close)
	nc.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // each refusal
	subjects := []string{
		">", "*.>", "payload.>", "payload.*.>", "payload.task.>", "payload.work.>", "payload.outbox.>", "payload.kept.>", "payload.claim.>",
		"payload.rpc.>", "payload.serve.>", "payload.store.>", "payload.sync", "payload.find", "payload.trust.>",
		"_INBOX.>", "_INBOX_USER.>", "_INBOX_OBSERVER.>", "$JS.>", "$KV.>", "$SYS.>", bus.SubjectAll,
	}
	for _, id := range ids {
		subjects = append(subjects, bus.UserInbox(id)+".>", bus.ObserverInbox(id)+".>", "payload.task."+string(id)+".>", "payload.rpc."+string(id)+".>", "payload.serve."+string(id)+".>")
	}
	for _, s := range subjects {
		if _, err := nc.Subscribe(s, func(m *nats.Msg) {
			l.heard.Add(1)
			if strings.Contains(m.Subject+string(m.Data)+fmt.Sprint(m.Header), canary) {
				l.leaks.Add(1)
				l.where.Store(m.Subject)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(harness.Patience); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPromptsAreTheirOwners has observers, and the users of the machines that work on a prompt and
// that do not, listen to all they can while one machine's user asks. He alone hears what was said.
func TestPromptsAreTheirOwners(t *testing.T) {
	t.Parallel()
	const canary = "canary-77ab20"
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	b, c := s.Join(t, a, "b"), s.Join(t, a, "c")
	harness.Settle(t, a, b, c)
	awaitModel(t, b, "a", engine.Model, true)
	ids := []bus.NodeID{a.Info.NodeID, b.Info.NodeID, c.Info.NodeID}
	owner := listen(t, b, "the owner", bus.UserCreds, bus.UserInbox, canary, ids...)
	others := []*listener{
		listen(t, a, "the user of the worker", bus.UserCreds, bus.UserInbox, canary, ids...),
		listen(t, c, "the user of a third machine", bus.UserCreds, bus.UserInbox, canary, ids...),
		listen(t, a, "the observer of the worker", bus.ObserverCred, bus.ObserverInbox, canary, ids...),
		listen(t, b, "the observer of the owner's machine", bus.ObserverCred, bus.ObserverInbox, canary, ids...),
		listen(t, c, "the observer of a third machine", bus.ObserverCred, bus.ObserverInbox, canary, ids...),
	}

	prompts := 0
	for i := range 5 {
		prompt := engine.Prompt(fmt.Sprintf("%s-%d", canary, i))
		if got := ask(t, b, "-m", engine.Model, prompt); !strings.Contains(got.Text, canary) {
			t.Fatalf("the answer %q does not hold the canary", got.Text)
		}
		prompts++
	}
	for i := range 5 {
		var receipt bus.Receipt
		b.JSON(t, &receipt, "ask", "--detach", "-m", engine.Model, engine.Prompt(fmt.Sprintf("%s-kept-%d", canary, i)))
		prompts++
		harness.Poll(t, harness.Patience, "the durable task is done", func() string {
			var info bus.TaskInfo
			b.JSON(t, &info, "task", "show", string(receipt.ID))
			if info.State != bus.StateDone {
				return string(info.State)
			}
			return ""
		})
	}
	if got := httpDo(t, b, http.MethodPost, "/task", `{"type":"inference","model":"`+engine.Model+`","payload":{"prompt":"`+engine.Prompt(canary+"-http")+`"}}`); got.status != http.StatusOK || !strings.Contains(got.body, canary) {
		t.Fatalf("HTTP: %+v", got)
	}
	if r := b.Myco(t, "ask", "-m", "nobody-has-this", canary); r.Code == 0 {
		t.Errorf("%s: want it refused", r)
	}
	prompts += 2

	harness.Poll(t, harness.Patience, "the owner and every observer hear what they may", func() string {
		for _, l := range append(others, owner) {
			if l.heard.Load() == 0 {
				return l.name + " hears nothing"
			}
		}
		if owner.leaks.Load() == 0 {
			return "the owner does not hear his own answers: the test would see nothing"
		}
		return ""
	})
	for _, l := range others {
		if k := l.leaks.Load(); k > 0 {
			t.Errorf("%s hears %d messages with a prompt or an answer of another, one on %s", l.name, k, l.where.Load())
		}
	}
	reach(t, "prompts", prompts, fmt.Sprintf("%d listeners hear 0 of %d prompts and answers; their owner hears his", len(others), prompts))
}

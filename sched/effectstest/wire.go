package effectstest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/mycoswarm/mycoswarm/sched"
)

// record keeps what callbacks are called with.
type record[T any] struct {
	mu  sync.Mutex
	all []T
}

func (r *record[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, v)
}

func (r *record[T]) list() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]T(nil), r.all...)
}

// await waits for n and returns them.
func await[T any](e *env, r *record[T], n int) []T {
	e.Helper()
	e.until(func() bool { return len(r.list()) >= n }, fmt.Sprintf("%d calls", n))
	return r.list()
}

func testPublish(e *env) {
	a, b := e.Effects(0), e.Effects(1)
	if in1, in2 := a.Inbox(), a.Inbox(); in1 == in2 {
		e.Fatalf("two inboxes are both %s", in1)
	}
	if r := a.Routes(); !r[e.IDs[1]] {
		e.Fatalf("routes %v, want one to %s", r, e.IDs[1])
	}
	inbox := a.Inbox()
	var got record[sched.Msg]
	stop, err := a.Subscribe(inbox+".*", got.add)
	e.check(err)
	e.until(func() bool { // the other node hears of a subscription a moment later
		e.check(b.Publish(sched.Msg{Subject: inbox + ".hello"}))
		return len(got.list()) > 0
	}, "a first message")
	for i := range 100 {
		e.check(b.Publish(sched.Msg{Subject: inbox + ".n", Reply: "some.reply", Data: fmt.Append(nil, i)}))
	}
	var ns []sched.Msg
	e.until(func() bool {
		ns = nil
		for _, m := range got.list() {
			if strings.HasSuffix(m.Subject, ".n") {
				ns = append(ns, m)
			}
		}
		return len(ns) == 100
	}, "100 messages")
	for i, m := range ns {
		if string(m.Data) != fmt.Sprint(i) || m.Reply != "some.reply" {
			e.Fatalf("message %d is %q with reply %q", i, m.Data, m.Reply)
		}
	}
	stop()
	n := len(got.list())
	e.check(a.Publish(sched.Msg{Subject: inbox + ".late"}))
	var after record[sched.Msg]
	stop, err = a.Subscribe(inbox+".end", after.add)
	e.check(err)
	defer stop()
	e.check(a.Publish(sched.Msg{Subject: inbox + ".end"}))
	await(e, &after, 1)
	if m := len(got.list()); m != n {
		e.Fatalf("%d messages after stop", m-n)
	}
}

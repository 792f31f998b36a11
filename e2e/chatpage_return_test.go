//go:build e2e && linux

package e2e_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// cable is what lies between a browser and a node, and can be pulled out.
type cable struct {
	ln net.Listener
	to string

	mu  sync.Mutex
	out bool
	on  map[net.Conn]bool
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{ln: ln, to: to, on: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // it is closed
			}
			serving.Go(func() { c.carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		c.pull()
		serving.Wait()
	})
	return c
}

// carry brings a connection to the node, and what is said on it to and fro.
func (c *cable) carry(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer to.Close()
	c.mu.Lock()
	if c.out {
		c.mu.Unlock()
		return
	}
	c.on[from], c.on[to] = true, true
	c.mu.Unlock()
	go func() {
		_, _ = io.Copy(to, from) // until either ends
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.on, from)
	delete(c.on, to)
}

// pull ends the connections, and lets none through until it is plugged in.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = true
	for conn := range c.on {
		_ = conn.Close()
	}
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = false
}

// An answer is written on while its page shows another conversation, is loaded anew, or has no network: it is there in the
// end, each word once, and the engine has run once.
func TestComingBackInABrowser(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	gates := map[string]chan struct{}{"left": make(chan struct{}), "anew": make(chan struct{}), "pulled": make(chan struct{}), "unseen": make(chan struct{})}
	script := func(r engine.Request) engine.Script {
		if gate := gates[r.Marker]; gate != nil {
			return engine.Script{Words: scriptedWords(r.Marker), Rest: gate}
		}
		return engine.Script{Words: []string{"said ", r.Marker}}
	}
	a := s.Found(t, "laptop", "--slots", "4", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: script}).URL())
	awaitModel(t, a, "laptop", engine.Model, true)
	wire := newCable(t, strings.TrimPrefix(a.Info.HTTPURL, "http://"))
	page := "http://" + wire.ln.Addr().String() + "/ui/chat"
	x := openPage(t, page)
	x.sees("#model", engine.Model)
	begins := func(n int, marker string) {
		t.Helper()
		x.asks(engine.Prompt(marker))
		x.awaits(n, scriptedWords(marker)[0])
	}
	whole := func(n int, marker string) {
		t.Helper()
		x.awaits(n, strings.TrimSpace(strings.Join(scriptedWords(marker), "")), "laptop · "+engine.Model, "Again")
	}

	begins(1, "left")
	x.click("#new")
	x.sees("#talk", "Ask anything")
	x.asks(engine.Prompt("second"))
	x.awaits(1, "said second", "Again")
	x.click("#open")
	x.sees("#list li:last-child", "left", "answering")
	x.click("#list a") // the last
	x.awaits(1, scriptedWords("left")[0])
	close(gates["left"])
	whole(1, "left")

	begins(2, "anew")
	at := eval[string](x, "location.href")
	x.goTo("about:blank")
	x.goTo(at)
	x.awaits(2, scriptedWords("anew")[0])
	if !eval[bool](x, "document.querySelector('#send').hidden") {
		t.Error("a question can be sent while an answer is written")
	}
	close(gates["anew"])
	whole(2, "anew")

	begins(3, "pulled")
	eval[bool](x, `(() => { // once it is refused by what lies between
		const real = window.fetch
		let refused = false
		window.fetch = (address, options) => {
			if (refused || !address.startsWith("/v1/answers/")) return real(address, options)
			refused = true
			return Promise.resolve(new Response("", {status: 502}))
		}
		return true
	})()`)
	wire.pull()
	x.sees("#state", "not reached. Trying again")
	close(gates["pulled"])
	wire.plug()
	whole(3, "pulled")

	begins(4, "unseen") // it ends while nobody is there
	x.goTo("about:blank")
	close(gates["unseen"])
	if _, err := ledger.Wait(within(t, "the answer ends"), func(r []engine.Run) bool {
		runs := begun(r, "unseen")
		return len(runs) == 1 && runs[0].Outcome == engine.Finished
	}); err != nil {
		t.Fatal(err)
	}
	x.goTo(at)
	whole(4, "unseen")
	for marker := range gates {
		if runs := begun(ledger.Runs(), marker); len(runs) != 1 || runs[0].Outcome != engine.Finished {
			t.Errorf("%s: runs %+v", marker, runs)
		}
	}
	x.quiet("ERR_")
}

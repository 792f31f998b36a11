package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// Large requests have so much memory together, and no more: who comes when it is taken is told so once it has sent all that
// it has, since many clients look for no answer before. One alone may have more.
func TestLargeRequestsHaveRoom(t *testing.T) {
	asked, answer := make(chan struct{}, 8), make(chan struct{}, 8)
	o, _ := newOracle(t, func(bus.Task, func(bus.Chunk) error) (any, error) {
		asked <- struct{}{}
		<-answer
		return bus.InferenceResult{Text: "Paris", Model: "m"}, nil
	})
	g, err := gateway.New(gateway.Config{Swarm: o, Key: key, BodyRoom: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, served := g.Server(), make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln) // it says that it was closed
	}()
	defer func() {
		_ = server.Close()
		<-served
	}()
	// ask sends a question of so many MiB to its end, and then reads the answer.
	ask := func(mib int) (status int, after, body string) {
		question := fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"%s"}]}`, strings.Repeat("x", mib<<20))
		question = fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(question), question)
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Error(err)
			return 0, "", ""
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, question); err != nil {
			t.Errorf("send %d MiB: %v", mib, err)
			return 0, "", ""
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("the answer to %d MiB: %v", mib, err)
			return 0, "", ""
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header.Get("Retry-After"), string(text)
	}
	defer close(answer) // of what is taken and should not be
	type reply struct {
		status      int
		after, body string
	}
	first, beside := make(chan int, 8), make(chan reply, 8)
	for _, mib := range []int{6, 16} { // the second is beyond the room, when all of it is free
		go func() {
			status, _, _ := ask(mib)
			first <- status
		}()
		select {
		case <-asked:
		case status := <-first:
			t.Fatalf("%d MiB, alone: %d, want an answer", mib, status)
		}
		go func() {
			status, after, body := ask(24)
			beside <- reply{status, after, body}
		}()
		select {
		case <-asked:
			t.Fatalf("24 MiB beside %d are taken in room for 8", mib)
		case r := <-beside:
			if r.status != http.StatusTooManyRequests || r.after == "" || !strings.Contains(r.body, "room for 8 MiB") {
				t.Errorf("24 MiB beside %d: %+v, want %d, and when to ask again", mib, r, http.StatusTooManyRequests)
			}
		}
		answer <- struct{}{}
		if status := <-first; status != http.StatusOK {
			t.Errorf("%d MiB: %d, want %d", mib, status, http.StatusOK)
		}
	}
}

// A small machine takes less at a time.
func TestBodyRoom(t *testing.T) {
	for memory, want := range map[int64]int64{0: 16 << 20, 1 << 30: 64 << 20, 4 << 30: 256 << 20, 64 << 30: 512 << 20, 1<<63 - 1: 512 << 20} {
		if got := gateway.BodyRoom(memory); got != want {
			t.Errorf("%d MiB of memory: room for %d MiB, want %d", memory>>20, got>>20, want>>20)
		}
	}
}

package engine

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// counting counts what is written to a connection.
type counting struct {
	net.Conn
	writes int
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

// A question is one write: of two, the first would wake its engine for a head alone.
func TestRequestIsOneWrite(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	conn := &counting{Conn: here}
	defer conn.Close()
	served := make(chan error, 1)
	go func() {
		defer there.Close()
		req, err := http.ReadRequest(bufio.NewReader(there))
		if err == nil {
			_, err = io.Copy(io.Discard, req.Body)
		}
		if err == nil {
			_, err = io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
		served <- err
	}()
	data := []byte(strings.Repeat("x", 2000))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://engine.test/api/chat", newUpload(data))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(data))
	resp, err := newLine(conn).ask(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if conn.writes != 1 {
		t.Errorf("written in %d pieces", conn.writes)
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/internal/toolbox"
)

const (
	// messageMost is how long a message on standard input may be, in bytes, as over HTTP: documents are not sent.
	messageMost = 4 << 20
	// answersAfter is how long what is said to a program that has left, or has ended this one, may still be written: it may
	// read nothing more, and yet keep the pipe.
	answersAfter = time.Second
)

// errUnread is that a program that has left reads nothing more.
var errUnread = errors.New("what started this reads nothing more")

// mcpStdio are the messages of the program that started this, a line each. One that is none is refused by an answer: the
// transport would end the session, and with it the calls that are under way.
type mcpStdio struct {
	in   *bufio.Reader
	line []byte // what is not read yet of a message
	out  io.Writer

	left func()        // the program has, or is about to be left
	over chan struct{} // closed where nothing more is written
	mu   sync.Mutex    // of what is written
}

// newMCPStdio takes over standard input and output until life ends.
func newMCPStdio(life context.Context, in io.Reader, out io.Writer) *mcpStdio {
	s := &mcpStdio{in: bufio.NewReader(in), out: out, over: make(chan struct{})}
	s.left = sync.OnceFunc(func() { time.AfterFunc(answersAfter, func() { close(s.over) }) })
	context.AfterFunc(life, s.left)
	return s
}

// transport is for a server of tools.
func (s *mcpStdio) transport() mcp.Transport {
	return &mcp.IOTransport{Reader: io.NopCloser(s), Writer: s}
}

// Read implements io.Reader.
func (s *mcpStdio) Read(p []byte) (int, error) {
	for len(s.line) == 0 {
		line, err := s.next()
		if err != nil {
			s.left()
			return 0, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		_, err = jsonrpc.DecodeMessage(line)
		if err == nil {
			err = toolbox.CheckID(line)
		}
		if err != nil {
			if err := s.refuse(line, err); err != nil {
				return 0, err
			}
			continue
		}
		s.line = append(line, '\n')
	}
	n := copy(p, s.line)
	s.line = s.line[n:]
	return n, nil
}

// next is the next line, or of one that is too long the beginning, which is no message.
func (s *mcpStdio) next() (line []byte, err error) {
	for {
		part, err := s.in.ReadSlice('\n')
		line = append(line, part[:min(len(part), messageMost+1-len(line))]...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0: // the last has no end
			return line, nil
		default:
			return line, err
		}
	}
}

// refuse answers what is no message.
func (s *mcpStdio) refuse(line []byte, why error) error {
	text := "want a JSON-RPC message in each line, and one alone: " + why.Error()
	if len(line) > messageMost {
		text = "the message has more than 4 MiB"
	}
	_, err := s.Write(append(toolbox.Refusal(line, text), '\n'))
	return err
}

// Write implements io.Writer. It is for one message each time.
func (s *mcpStdio) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := make(chan error, 1)
	go func() {
		_, err := s.out.Write(bytes.Clone(p))
		written <- err
	}()
	select {
	case err := <-written:
		return len(p), err
	case <-s.over:
		return 0, errUnread
	}
}

// Close implements io.Closer: what stays open is not its own.
func (s *mcpStdio) Close() error { return nil }

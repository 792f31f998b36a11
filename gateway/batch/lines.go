package batch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
)

const (
	// linesMost bounds the requests of a batch, and lineMost one of them, in bytes.
	linesMost = 50_000
	lineMost  = 16 << 20
)

// line is where a request lies in its file. Empty lines are none.
type line struct {
	number int // from 1
	at     int64
	size   int
}

// lines finds the lines of a file. Of one that is too long, size is over lineMost, and the file is not read on.
func lines(in io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		r := bufio.NewReaderSize(in, 64<<10)
		l := line{number: 1}
		for {
			piece, err := r.ReadSlice('\n')
			l.size += len(piece)
			switch {
			case errors.Is(err, bufio.ErrBufferFull) && l.size <= lineMost:
				continue
			case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
				yield(l, err)
				return
			case l.size > 0 && (l.size > len(piece) || len(bytes.TrimSpace(piece)) > 0):
				if !yield(l, nil) || l.size > lineMost {
					return
				}
			}
			if err != nil {
				return
			}
			l = line{number: l.number + 1, at: l.at + int64(l.size)}
		}
	}
}

// request is what a line says.
type request struct {
	CustomID string          `json:"custom_id"`
	Method   string          `json:"method"`
	URL      string          `json:"url"`
	Body     json.RawMessage `json:"body"`
}

// bytes reads a line. An error is one of the disk.
func (l line) bytes(in io.ReaderAt) ([]byte, error) {
	data := make([]byte, l.size)
	if n, err := in.ReadAt(data, l.at); n < l.size {
		return nil, err
	}
	return data, nil
}

// read reads the request of a line that was checked.
func (l line) read(in io.ReaderAt) (req request, err error) {
	data, err := l.bytes(in)
	if err != nil {
		return req, err
	}
	return req, json.Unmarshal(data, &req)
}

package plugin

import (
	"bufio"
	"errors"
	"io"
	"slices"
)

const (
	// maxLine is the longest line that a program may say, its end included, in bytes.
	maxLine = 64 << 20
	// readBuffer is what is read at once, in bytes; longer lines are put together of such pieces.
	readBuffer = 64 << 10
)

// errTooLong is for a line that is longer than it may be.
var errTooLong = errors.New("a line is too long")

// lines reads what a program says, line by line. It looks for the end of a line in each byte once: a
// bufio.Scanner looks through the whole line again for each piece that comes.
type lines struct {
	in   *bufio.Reader
	most int // bytes of a line, its end included
}

func newLines(r io.Reader, most int) *lines { return &lines{bufio.NewReaderSize(r, readBuffer), most} }

// next returns a line, which is the caller's, with its end; that of the last may be missing. The error is io.EOF
// after it, errTooLong, or that of the reader.
func (l *lines) next() ([]byte, error) {
	var line []byte
	for {
		piece, err := l.in.ReadSlice('\n')
		if len(line)+len(piece) > l.most {
			return nil, errTooLong
		}
		if cap(line)-len(line) < len(piece) {
			line = slices.Grow(line, max(len(line), len(piece))) // twice as much: append adds a quarter to what is large
		}
		line = append(line, piece...)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

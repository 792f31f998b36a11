package plugin

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 3*readBuffer)
	const most = 5*readBuffer + 7
	full := strings.Repeat("x", most-1) + "\n"
	for name, c := range map[string]struct {
		said  string
		lines []string
		end   error
	}{
		"nothing":      {"", nil, io.EOF},
		"two":          {"a\nbc\n", []string{"a\n", "bc\n"}, io.EOF},
		"no end":       {"a\nbc", []string{"a\n", "bc"}, io.EOF},
		"an empty one": {"\na\n", []string{"\n", "a\n"}, io.EOF},
		"long ones":    {long + "\na\n" + long, []string{long + "\n", "a\n", long}, io.EOF},
		"the longest":  {full + "a\n", []string{full, "a\n"}, io.EOF},
		"too long":     {"a\nx" + full, []string{"a\n"}, errTooLong},
	} {
		for how, r := range map[string]io.Reader{"at once": strings.NewReader(c.said), "with its end": iotest.DataErrReader(strings.NewReader(c.said))} {
			in := newLines(r, most)
			var kept [][]byte
			var err error
			for err == nil {
				var l []byte
				if l, err = in.next(); err == nil {
					kept = append(kept, l)
				}
			}
			if !errors.Is(err, c.end) || len(kept) != len(c.lines) {
				t.Errorf("%s, %s: %d lines, then %v", name, how, len(kept), err)
				continue
			}
			for i, want := range c.lines {
				if string(kept[i]) != want {
					t.Errorf("%s, %s: line %d has %d bytes, want %d", name, how, i, len(kept[i]), len(want))
				}
			}
		}
	}
	if _, err := newLines(iotest.ErrReader(io.ErrClosedPipe), most).next(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a pipe that is closed: %v", err)
	}
}

// slowly gives what it has in small pieces.
type slowly struct{ io.Reader }

func (r slowly) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(len(b), 2<<10)]) }

// A long line takes a few times as long as having its bytes, and not hundreds of times: it is not looked
// through again for each piece of it.
func TestLongLinesTakeTheirTime(t *testing.T) {
	said := append(bytes.Repeat([]byte("x"), 16<<20-1), '\n')
	fastest := func(read func(io.Reader) ([]byte, error)) time.Duration {
		least := time.Hour
		for range 3 {
			start := time.Now()
			line, err := read(slowly{bytes.NewReader(said)})
			least = min(least, time.Since(start))
			if err != nil || len(line) != len(said) {
				t.Fatalf("%d bytes, %v", len(line), err)
			}
		}
		return least
	}
	floor := fastest(func(r io.Reader) ([]byte, error) {
		line := make([]byte, len(said))
		_, err := io.ReadFull(r, line)
		return line, err
	})
	ours := fastest(func(r io.Reader) ([]byte, error) { return newLines(r, maxLine).next() })
	t.Logf("%d MiB: %v, without looking %v", len(said)>>20, ours, floor)
	if floor = max(floor, time.Millisecond); ours > 100*floor { // Windows' clock may not have gone on meanwhile
		t.Errorf("%v, %d times as long as without looking, %v", ours, ours/floor, floor)
	}
}

package demo

import (
	"strings"
	"unicode/utf8"
)

// writer hands out generated text: without the blank that the vocabulary puts
// before the first word, in whole characters, and only as far as no stop text can
// still begin in it.
type writer struct {
	stops   []string
	emit    func(string) error
	pending string
	begun   bool
}

func newWriter(stops []string, emit func(string) error) *writer {
	w := &writer{emit: emit}
	for _, s := range stops {
		if s != "" {
			w.stops = append(w.stops, s)
		}
	}
	return w
}

// write takes one more piece. It reports whether a stop text was found; then all
// text before it has been emitted.
func (w *writer) write(piece string) (found bool, err error) {
	if !w.begun {
		w.begun = true
		piece = strings.TrimPrefix(piece, " ")
	}
	w.pending += piece
	if at := w.firstStop(); at >= 0 {
		return true, w.flush(at)
	}
	return false, w.flush(min(w.certain(), wholeRunes(w.pending)))
}

// close emits what was held back. Bytes that never became a character are replaced.
func (w *writer) close() error {
	w.pending = strings.ToValidUTF8(w.pending, string(utf8.RuneError))
	return w.flush(len(w.pending))
}

func (w *writer) flush(n int) error {
	if n == 0 {
		return nil
	}
	text := strings.ToValidUTF8(w.pending[:n], string(utf8.RuneError))
	w.pending = w.pending[n:]
	return w.emit(text)
}

func (w *writer) firstStop() int {
	first := -1
	for _, s := range w.stops {
		if at := strings.Index(w.pending, s); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}

// certain returns how much of pending no stop text can begin in.
func (w *writer) certain() int {
	hold := 0
	for _, s := range w.stops {
		for n := min(len(s)-1, len(w.pending)); n > hold; n-- {
			if strings.HasSuffix(w.pending, s[:n]) {
				hold = n
				break
			}
		}
	}
	return len(w.pending) - hold
}

// wholeRunes returns the length of s without an unfinished character at its end.
func wholeRunes(s string) int {
	for i := 1; i <= min(utf8.UTFMax-1, len(s)); i++ {
		if b := s[len(s)-i]; utf8.RuneStart(b) {
			if !utf8.FullRuneInString(s[len(s)-i:]) {
				return len(s) - i
			}
			break
		}
	}
	return len(s)
}

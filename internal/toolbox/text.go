package toolbox

import (
	"cmp"
	"fmt"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// textUsual is how many characters a tool tells where it is not told: about 8,000 tokens. Claude Code warns of more
	// than 10,000, and takes no more than 25,000.
	textUsual = 30_000
	// textMost is how many it tells at most.
	textMost = 200_000

	maxCharsHelp = "how many characters to tell at most (default 30000, at most 200000)"
)

// room is how many characters are wanted; asked is 0 for the usual.
func room(asked int) (int, error) {
	if asked < 0 || asked > textMost {
		return 0, bus.Errorf(bus.CodeInvalid, "max_chars %d: want 1 to %d", asked, textMost)
	}
	return cmp.Or(asked, textUsual), nil
}

// span is room for a part that begins at offset.
func span(offset, asked int) (int, error) {
	if offset < 0 {
		return 0, bus.Errorf(bus.CodeInvalid, "offset %d: want 0 or more", offset)
	}
	return room(asked)
}

// window is the part of a text that is wanted, with what is told of the rest behind it.
func window(text string, offset, size int) (out, note string, err error) {
	if all := utf8.RuneCountInString(text); offset > 0 && offset >= all {
		return "", "", bus.Errorf(bus.CodeInvalid, "offset %d: the text has %d characters", offset, all)
	}
	out, rest := part(text, offset, size)
	if rest != "" {
		note = fmt.Sprintf("; %s: for the rest call again with offset %d", rest, offset+size)
	}
	return out, note, nil
}

// part is at most size characters of a text, from offset on; rest tells which, where more follow.
func part(text string, offset, size int) (out, rest string) {
	from, to, n := len(text), len(text), 0
	for i := range text {
		if n == offset {
			from = i
		}
		if n == offset+size {
			to = i
			break
		}
		n++
	}
	if out = text[from:to]; to < len(text) {
		rest = fmt.Sprintf("these are the characters %d to %d of %d", offset, offset+size, utf8.RuneCountInString(text))
	}
	return out, rest
}

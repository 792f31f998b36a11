package gateway

import "github.com/mycoswarm/mycoswarm/bus"

// Limits of what a request may list, since an entry of two bytes may take hundreds when it is read.
const (
	// maxNames is how many fields a request may have.
	maxNames = 256
	// maxEntries is how many values a field may have that is read, those within others included. What is
	// handed on as it came has no such limit.
	maxEntries = 1 << 17
	// maxMessages is how many messages a conversation may have.
	maxMessages = 1 << 14
)

// few refuses a field with more than maxEntries.
func few(v []byte) error {
	if _, all := entries(v); all > maxEntries {
		return bus.Errorf(bus.CodeInvalid, "more than %d values", maxEntries)
	}
	return nil
}

// fewMessages refuses a conversation of more than maxMessages, before it is taken.
func (f *fields) fewMessages(name string) {
	if top, _ := entries(f.left[name]); top > maxMessages && f.err == nil {
		f.err = misfit(name, "more than %d", maxMessages)
		delete(f.left, name)
	}
}

// entries counts the elements of a list, or the fields of an object, and those of all that are within.
// It allocates nothing, and one that is empty counts as one. What is no JSON may count as anything.
func entries(b []byte) (top, all int) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
			continue
		case ',':
		default:
			continue
		}
		if all++; depth == 1 {
			top++
		}
	}
	return top, all
}

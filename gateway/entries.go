package gateway

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mycoswarm/mycoswarm/bus"
)

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

// splitCopies is up to which length, in bytes, split copies a value, so that it does not keep all the rest in memory.
const splitCopies = 4 << 10

// split returns the fields of an object. Long values are parts of b, and not copies: a large image is in one of them.
// Its errors are those of encoding/json, and so is what it takes. A short object has no long values, and whoever takes
// its fields needs encoding/json anyway: a second decoder would have to be brought into the caches for it alone.
func split(b []byte) (left map[string]json.RawMessage, err error) {
	if len(b) <= splitCopies {
		err = json.Unmarshal(b, &left)
		return left, err
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() == '{' {
		left, err = splitObject(b, d)
	}
	if left == nil || err != nil {
		left = nil
		err = json.Unmarshal(b, &left)
	}
	return left, err
}

func splitObject(b []byte, d *jsontext.Decoder) (map[string]json.RawMessage, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	left := map[string]json.RawMessage{}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		v, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if end := d.InputOffset(); len(v) > splitCopies {
			left[key] = b[end-int64(len(v)) : end : end]
		} else {
			left[key] = bytes.Clone(v)
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF { //nolint:errorlint // it says just that at the end
		return nil, io.ErrUnexpectedEOF
	}
	return left, nil
}

package bus

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// Later holds those fields of a JSON object that this version does not know: a later one wrote
// them. They go along wherever the object goes, so that a node of this version may stand between
// two later ones. A type that keeps them has a Later, and calls it from its UnmarshalJSON and
// MarshalJSON with a type of the same fields that has neither.
type Later string // each field with a comma before it

// Decode decodes the object b into the struct that into points to, and keeps what that has no field
// for. Its errors are those of encoding/json.
func (l *Later) Decode(b []byte, into any) error {
	if err := json.Unmarshal(b, into); err != nil {
		return err
	}
	*l = Later(unknownFields(b, namesOf(reflect.TypeOf(into).Elem())))
	return nil
}

// Encode encodes the struct v, and after its fields those that were kept. Its errors are those of
// encoding/json.
func (l Later) Encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // whoever encodes what this is part of decides
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	b := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	fields := l.withAdded()
	if fields == "" {
		return b, nil
	}
	b = b[:len(b)-1]
	if len(b) == 1 { // it has no field of its own
		fields = fields[1:]
	}
	return append(append(b, fields...), '}'), nil
}

// Names returns the names of the fields, in their order.
func (l Later) Names() (names []string) {
	b := []byte(l + "}")
	for i := 0; b[i] == ','; {
		end := endOfString(b, i+1)
		names = append(names, string(b[i+2:end-1]))
		i = endOfValue(b, pass(b, end, " \t\r\n:"))
	}
	return names
}

// names caches the JSON names of structs, by their type.
var names sync.Map

// namesOf returns the JSON names of the fields of a struct without embedded ones.
func namesOf(t reflect.Type) map[string]bool {
	if known, ok := names.Load(t); ok {
		return known.(map[string]bool)
	}
	known := map[string]bool{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		known[name] = true
	}
	names.Store(t, known)
	return known
}

// unknownFields returns the fields of the object b, which is valid JSON, that are not known, each
// with a comma before it.
func unknownFields(b []byte, known map[string]bool) string {
	i := pass(b, 0, " \t\r\n")
	if i == len(b) || b[i] != '{' {
		return "" // null
	}
	var out []byte
	for i++; ; {
		i = pass(b, i, " \t\r\n,")
		if b[i] == '}' {
			return string(out)
		}
		begin := i
		i = endOfString(b, i)
		name := b[begin+1 : i-1]
		i = endOfValue(b, pass(b, i, " \t\r\n:"))
		if !known[string(name)] && !foldsToKnown(string(name), known) {
			out = append(append(out, ','), b[begin:i]...)
		}
	}
}

// foldsToKnown reports whether encoding/json takes name for a known one: it does not tell small
// letters from capitals.
func foldsToKnown(name string, known map[string]bool) bool {
	for k := range known {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}

// pass returns the index of the first byte from i on that is none of set.
func pass(b []byte, i int, set string) int {
	for i < len(b) && strings.IndexByte(set, b[i]) >= 0 {
		i++
	}
	return i
}

// endOfString returns the index after the string that begins at i.
func endOfString(b []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(b[i:], '"')
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// endOfValue returns the index after the value that begins at i.
func endOfValue(b []byte, i int) int {
	if b[i] == '"' {
		return endOfString(b, i)
	}
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = endOfString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 { // the end of the object that a number or a word is in
				return i
			}
			if depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
}

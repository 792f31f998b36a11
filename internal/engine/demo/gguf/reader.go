package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The kinds of metadata values, by their number in the file.
const (
	kindUint8 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// kindSize is the least number of bytes that a value of each kind takes.
var kindSize = [...]int{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8}

// reader walks over a file and remembers what it is reading, for errors.
type reader struct {
	data  []byte
	pos   int
	where string
}

func (r *reader) fail(format string, args ...any) error {
	return r.failAt(r.pos, format, args...)
}

func (r *reader) failAt(offset int, format string, args ...any) error {
	return &FormatError{Offset: offset, Where: r.where, What: fmt.Sprintf(format, args...)}
}

// bytes returns the next n bytes without copying them.
func (r *reader) bytes(n int) ([]byte, error) {
	if left := len(r.data) - r.pos; n > left {
		return nil, r.fail("%d bytes wanted, the file has %d left", n, left)
	}
	b := r.data[r.pos : r.pos+n]
	r.pos += n
	return b, nil
}

func (r *reader) u32() (uint32, error) {
	b, err := r.bytes(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) u64() (uint64, error) {
	b, err := r.bytes(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// count reads the number of things that follow, each at least size bytes long.
func (r *reader) count(what string, most, size int) (int, error) {
	n, err := r.u64()
	if err != nil {
		return 0, err
	}
	if left := len(r.data) - r.pos; n > uint64(most) || n > uint64(left/size) {
		return 0, r.failAt(r.pos-8, "%d %s are more than the %d bytes left can hold, or than the limit of %d", n, what, left, most)
	}
	return int(n), nil
}

func (r *reader) str() (string, error) {
	n, err := r.count("bytes of text", maxSize, 1)
	if err != nil {
		return "", err
	}
	b, err := r.bytes(n)
	return string(b), err
}

func (r *reader) name() (string, error) {
	at := r.pos
	s, err := r.str()
	if err != nil {
		return "", err
	}
	if s == "" || len(s) > maxNameLen {
		return "", r.failAt(at, "a name of %d bytes, want 1 to %d", len(s), maxNameLen)
	}
	return s, nil
}

// value reads one metadata value. depth counts the arrays around it.
func (r *reader) value(kind uint32, depth int) (any, error) {
	switch kind {
	case kindString:
		return r.str()
	case kindArray:
		return r.array(depth + 1)
	}
	if kind >= uint32(len(kindSize)) {
		return nil, r.failAt(r.pos-4, "value type %d is unknown", kind)
	}
	b, err := r.bytes(kindSize[kind])
	if err != nil {
		return nil, err
	}
	return scalar(kind, b), nil
}

func scalar(kind uint32, b []byte) any {
	le := binary.LittleEndian
	switch kind {
	case kindUint8:
		return b[0]
	case kindInt8:
		return int8(b[0])
	case kindBool:
		return b[0] != 0
	case kindUint16:
		return le.Uint16(b)
	case kindInt16:
		return int16(le.Uint16(b))
	case kindUint32:
		return le.Uint32(b)
	case kindInt32:
		return int32(le.Uint32(b))
	case kindFloat32:
		return math.Float32frombits(le.Uint32(b))
	case kindUint64:
		return le.Uint64(b)
	case kindInt64:
		return int64(le.Uint64(b))
	default:
		return math.Float64frombits(le.Uint64(b))
	}
}

func (r *reader) array(depth int) (any, error) {
	if depth > maxArrayDepth {
		return nil, r.fail("arrays are nested more than %d deep", maxArrayDepth)
	}
	kind, err := r.u32()
	if err != nil {
		return nil, err
	}
	if kind >= uint32(len(kindSize)) {
		return nil, r.failAt(r.pos-4, "array of unknown type %d", kind)
	}
	n, err := r.count("array elements", maxSize, kindSize[kind])
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindUint8:
		return slice[uint8](r, kind, n, depth)
	case kindInt8:
		return slice[int8](r, kind, n, depth)
	case kindUint16:
		return slice[uint16](r, kind, n, depth)
	case kindInt16:
		return slice[int16](r, kind, n, depth)
	case kindUint32:
		return slice[uint32](r, kind, n, depth)
	case kindInt32:
		return slice[int32](r, kind, n, depth)
	case kindFloat32:
		return slice[float32](r, kind, n, depth)
	case kindBool:
		return slice[bool](r, kind, n, depth)
	case kindString:
		return slice[string](r, kind, n, depth)
	case kindUint64:
		return slice[uint64](r, kind, n, depth)
	case kindInt64:
		return slice[int64](r, kind, n, depth)
	case kindFloat64:
		return slice[float64](r, kind, n, depth)
	default:
		return slice[any](r, kind, n, depth)
	}
}

func slice[T any](r *reader, kind uint32, n, depth int) ([]T, error) {
	out := make([]T, n)
	for i := range out {
		v, err := r.value(kind, depth)
		if err != nil {
			return nil, err
		}
		out[i] = v.(T)
	}
	return out, nil
}

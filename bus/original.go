package bus

import (
	"bytes"
	"errors"
	"unsafe"

	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Original is what data was encoded from, for whoever reads it in the same process: to decode it takes
// longer than the rest of its way there. The zero value is for data that came from elsewhere.
type Original struct {
	v  any
	of *byte // the first of data
}

func originalOf(v any, data []byte) Original { return Original{v, unsafe.SliceData(data)} }

// Equal is true: what counts is the data.
func (Original) Equal(Original) bool { return true }

// originalAs returns what data was made from, where that is known, and is a T.
func originalAs[T any](o Original, data []byte) (v T, ok bool) {
	if o.of == unsafe.SliceData(data) {
		v, ok = o.v.(T)
	}
	return v, ok
}

// originalOr returns what data was made from, or else decodes it.
func originalOr[T any](o Original, data []byte) (T, error) {
	v, ok := originalAs[T](o, data)
	if ok {
		return v, nil
	}
	err := Unmarshal(data, &v)
	return v, err
}

// NewTask returns a task with payload as JSON. A handler in this process may get payload itself, see
// Payload: nobody changes it any more. One over MaxInline is decoded by whoever runs it, and not kept.
func NewTask(typ string, payload any) (Task, error) {
	data, err := MarshalOnce(payload)
	if err != nil {
		return Task{}, Errorf(CodeInternal, "encode the request: %w", err)
	}
	t := Task{Type: typ, Payload: data}
	if len(data) <= MaxInline {
		t.Original = originalOf(payload, data)
	}
	return t, nil
}

// Payload decodes the payload of a task. What it returns is not to be changed: the next attempt may get it
// too.
func Payload[T any](t *Task) (T, error) { return originalOr[T](t.Original, t.Payload) }

// Request is Payload for a Handler: decoded, and valid. Its errors are Errors; CodeInvalid for what does not decode, and
// those of the request's Validate.
func Request[T interface{ Validate() error }](t *Task) (T, error) {
	req, err := Payload[T](t)
	if err != nil {
		return req, misread(t.Payload, err)
	}
	return req, req.Validate()
}

// misread says why a payload is no request, in words of JSON and not of Go.
func misread(payload []byte, err error) *Error {
	e, mistyped := errors.AsType[*jsonv1.UnmarshalTypeError](err)
	switch {
	case len(payload) == 0:
		return Errorf(CodeInvalid, "the task has no payload")
	case !mistyped:
		return Errorf(CodeInvalid, "read the payload: %w", err)
	case e.Field == "":
		return Errorf(CodeInvalid, "read the payload, want a JSON object: there is a JSON %s", e.Value)
	}
	return Errorf(CodeInvalid, "read the payload: %s: a JSON %s does not fit", e.Field, e.Value)
}

// OriginalPayload returns what NewTask made the payload of a task from, in the process that did. It is not
// to be changed.
func OriginalPayload[T any](t *Task) (v T, ok bool) { return originalAs[T](t.Original, t.Payload) }

// DropPayload takes the payload out of t, so that its memory is free while the task runs.
func (t *Task) DropPayload() { t.Payload, t.Original = nil, Original{} }

// Copied returns t with a copy of its payload: what is written into one does not change the other.
func (t Task) Copied() Task {
	own := bytes.Clone(t.Payload)
	if t.Original.v != nil && t.Original.of == unsafe.SliceData(t.Payload) {
		t.Original.of = unsafe.SliceData(own)
	}
	t.Payload = own
	return t
}

// From returns c, of which Data encodes v, for readers in this process, see Piece: nobody changes v any
// more.
func (c Chunk) From(v any) Chunk {
	c.Original = originalOf(v, c.Data)
	return c
}

// Piece decodes the data of a chunk. What it returns is not to be changed: other readers may get it too.
func Piece[T any](c Chunk) (T, error) { return originalOr[T](c.Original, c.Data) }

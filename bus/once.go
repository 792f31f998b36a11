package bus

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"strings"

	"github.com/go-json-experiment/json"
)

// onceFrom is from which size in bytes MarshalOnce sets memory aside. What is shorter has no use for it, and whoever
// encodes it has encoding/json in the caches of the processor already.
const onceFrom = 256 << 10

// Sized tells about how long it is as JSON.
type Sized interface {
	// JSONSize is that length in bytes; it may be too short by a few hundred, and by what is seldom.
	JSONSize() int
}

var (
	_ Sized = InferenceRequest{}
	_ Sized = EmbedRequest{}
	_ Sized = FileRequest{}
)

// MarshalOnce encodes v as encoding/json does. What is Sized and long is encoded into memory of about its size, where
// encoding/json takes more than four times as much: a buffer that grows, and a copy of it. As between nodes nothing is
// escaped for the sake of HTML then.
func MarshalOnce(v any) ([]byte, error) {
	s, ok := v.(Sized)
	if !ok {
		return stdjson.Marshal(v)
	}
	return MarshalSized(v, s.JSONSize())
}

// MarshalSized is MarshalOnce for what is about size bytes long.
func MarshalSized(v any, size int) ([]byte, error) {
	if size < onceFrom {
		return stdjson.Marshal(v)
	}
	// The encoder makes room where less than a quarter of what is there is free.
	b := bytes.NewBuffer(make([]byte, 0, size+size*3/8))
	err := json.MarshalWrite(b, v, options)
	return b.Bytes(), err
}

// JSONSize implements Sized.
func (r InferenceRequest) JSONSize() int {
	n := textSize(r.System) + textSize(r.Prompt) + textSize(r.Suffix) + textSize(r.Template) + len(r.Context) + len(r.Tools) + len(r.Format)
	n += imagesSize(r.Images)
	for _, m := range r.Messages {
		n += 64 + textSize(m.Content) + textSize(m.Thinking) + imagesSize(m.Images)
		for _, c := range m.ToolCalls {
			n += 64 + len(c.Name) + len(c.Arguments)
		}
	}
	return n + partsSize(r.Options) + partsSize(r.Extra)
}

// JSONSize implements Sized.
func (r EmbedRequest) JSONSize() int {
	n := partsSize(r.Options) + partsSize(r.Extra)
	for _, s := range r.Inputs {
		n += 3 + textSize(s)
	}
	return n
}

// JSONSize implements Sized.
func (r FileRequest) JSONSize() int {
	return len(r.Name) + len(r.MediaType) + len(r.Pages) + base64.StdEncoding.EncodedLen(len(r.Content))
}

// textSize is how long a text is as JSON, where what is escaped is what texts and programs have.
func textSize(s string) int {
	n := len(s)
	if n < onceFrom/64 {
		return n
	}
	for _, c := range []string{"\n", "\r", "\t", `"`, `\`} {
		n += strings.Count(s, c)
	}
	return n
}

func imagesSize(images [][]byte) (n int) {
	for _, b := range images {
		n += 3 + base64.StdEncoding.EncodedLen(len(b))
	}
	return n
}

func partsSize(parts map[string]stdjson.RawMessage) (n int) {
	for name, v := range parts {
		n += 4 + len(name) + len(v)
	}
	return n
}

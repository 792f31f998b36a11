package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/internal/engine/demo/gguf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// builder writes the parts of a file, broken ones too.
type builder struct{ bytes.Buffer }

func (b *builder) put(vs ...any) *builder {
	for _, v := range vs {
		if s, ok := v.(string); ok {
			b.put(uint64(len(s)))
			b.WriteString(s)
			continue
		}
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b
}

func head(tensors, keys uint64) *builder {
	b := &builder{}
	b.WriteString("GGUF")
	return b.put(uint32(3), tensors, keys)
}

// pad fills up to the next multiple of 32 bytes and appends floats.
func (b *builder) pad(floats ...float32) *builder {
	b.Write(make([]byte, (32-b.Len()%32)%32))
	return b.put(floats)
}

func valid() []byte {
	return head(2, 4).
		put("n", uint32(4), uint32(7)).
		put("s", uint32(8), "text").
		put("a", uint32(9), uint32(8), uint64(2), "x", "y").
		put("aa", uint32(9), uint32(9), uint64(1), uint32(6), uint64(2), float32(1), float32(2)).
		put("t", uint32(2), uint64(2), uint64(3), uint32(0), uint64(0)).
		put("u", uint32(1), uint64(1), uint32(0), uint64(32)).
		pad(1, 2, 3, 4, 5, 6, 0, 0, 9).Bytes()
}

func TestParse(t *testing.T) {
	t.Parallel()
	f, err := gguf.Parse(valid())
	if err != nil {
		t.Fatal(err)
	}
	if f.Meta["n"] != uint32(7) || f.Meta["s"] != "text" || f.Meta["a"].([]string)[1] != "y" {
		t.Errorf("metadata %v", f.Meta)
	}
	if nested := f.Meta["aa"].([]any)[0].([]float32); nested[1] != 2 {
		t.Errorf("nested array %v", nested)
	}
	if x := f.Tensors["t"]; len(x.Data) != 6 || x.Data[5] != 6 || x.Dims[1] != 3 {
		t.Errorf("tensor t %+v", x)
	}
	if x := f.Tensors["u"]; len(x.Data) != 1 || x.Data[0] != 9 {
		t.Errorf("tensor u %+v", x)
	}
}

func TestEveryKindOfValue(t *testing.T) {
	t.Parallel()
	values := []any{
		uint8(1), int8(-1), uint16(2), int16(-2), uint32(3), int32(-3), float32(4), true, "five",
		nil, uint64(6), int64(-6), float64(7),
	}
	for kind, v := range values {
		if v == nil {
			continue
		}
		b := head(0, 2).put("v", uint32(kind), v).put("a", uint32(9), uint32(kind), uint64(1), v)
		f, err := gguf.Parse(b.Bytes())
		if err != nil || f.Meta["v"] != v {
			t.Errorf("kind %d: got %v, %v, want %v", kind, f, err, v)
		}
	}
}

// TestBroken holds every check: what is broken, and what the error must say.
func TestBroken(t *testing.T) {
	t.Parallel()
	const huge = math.MaxUint64
	tensor := func(fields ...any) []byte {
		return head(1, 0).put("t").put(fields...).pad(make([]float32, 64)...).Bytes()
	}
	key := func(fields ...any) []byte { return head(0, 1).put("k").put(fields...).put(make([]byte, 64)).Bytes() }
	align := func(a uint32) []byte {
		return head(0, 1).put("general.alignment", uint32(4), a).put(make([]byte, 64)).Bytes()
	}
	deep := head(0, 1).put("k", uint32(9))
	for range 10_000 {
		deep.put(uint32(9), uint64(1))
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":               {nil, "header at byte 0: 4 bytes wanted"},
		"other magic":         {[]byte("GGML____________________"), "does not begin with GGUF"},
		"other version":       {append([]byte("GGUF\x02\x00\x00\x00"), make([]byte, 99)...), "version 2"},
		"huge tensor count":   {head(huge, 0).Bytes(), "tensors are more than"},
		"huge key count":      {head(0, huge).Bytes(), "metadata keys are more than"},
		"many keys, no bytes": {head(0, 4000).Bytes(), "metadata keys are more than"},
		"huge name":           {head(0, 1).put(uint64(huge), make([]byte, 64)).Bytes(), "metadata key 0"},
		"empty name":          {head(0, 1).put("", make([]byte, 64)).Bytes(), "a name of 0 bytes"},
		"key twice":           {head(0, 2).put("k", uint32(7), true, "k", uint32(7), true).Bytes(), `"k" at byte 47: the key is there twice`},
		"unknown kind":        {key(uint32(13)), "value type 13 is unknown"},
		"huge string":         {key(uint32(8), uint64(1<<40)), `metadata "k"`},
		"huge array":          {key(uint32(9), uint32(4), uint64(1<<60)), "array elements are more than"},
		"array of unknown":    {key(uint32(9), uint32(99), uint64(1)), "unknown type 99"},
		"deep arrays":         {deep.Bytes(), "nested more than 4 deep"},
		"no dimensions":       {tensor(uint32(0)), "0 dimensions"},
		"many dimensions":     {tensor(uint32(5)), "5 dimensions"},
		"dimension zero":      {tensor(uint32(1), uint64(0)), "dimension 0"},
		"dimension overflow":  {tensor(uint32(2), uint64(1<<33), uint64(1<<33)), "does not fit"},
		"product too large":   {tensor(uint32(2), uint64(60), uint64(60)), "dimension 60 does not fit"},
		"other tensor type":   {tensor(uint32(1), uint64(1), uint32(8), uint64(0)), "type 8, only"},
		"unaligned offset":    {tensor(uint32(1), uint64(1), uint32(0), uint64(4)), "data offset 4"},
		"offset outside":      {tensor(uint32(1), uint64(1), uint32(0), uint64(1<<62)), "outside the file"},
		"data past the end":   {tensor(uint32(1), uint64(64), uint32(0), uint64(32)), "its data ends at byte"},
		"alignment zero":      {align(0), "0 is not a power of two"},
		"alignment 33":        {align(33), "33 is not a power of two"},
		"alignment huge":      {align(1 << 31), "is not a power of two"},
		"tensor twice": {head(2, 0).put("t", uint32(1), uint64(1), uint32(0), uint64(0)).
			put("t", uint32(1), uint64(1), uint32(0), uint64(32)).pad(make([]float32, 64)...).Bytes(), "the tensor is there twice"},
		"overlap": {head(2, 0).put("t", uint32(1), uint64(9), uint32(0), uint64(0)).
			put("u", uint32(1), uint64(9), uint32(0), uint64(32)).pad(make([]float32, 64)...).Bytes(), "overlaps"},
		"not a number": {head(1, 0).put("t", uint32(1), uint64(2), uint32(0), uint64(0)).
			pad(1, float32(math.NaN())).Bytes(), `data of tensor "t" at byte 68: value 1 is not a finite number`},
	} {
		_, err := gguf.Parse(c.data)
		var broken *gguf.FormatError
		if !errors.As(err, &broken) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestEveryCutIsAnError(t *testing.T) {
	t.Parallel()
	data := valid()
	for n := range data {
		if _, err := gguf.Parse(data[:n]); err == nil {
			t.Errorf("cut at byte %d of %d: no error", n, len(data))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(valid())
	f.Add(valid()[:60])
	f.Add(head(1, 0).put("t", uint32(1), uint64(2), uint32(0), uint64(0)).pad(1, 2).Bytes())
	f.Add(head(0, 1).put("k", uint32(9), uint32(9), uint64(1), uint32(9), uint64(1), uint32(0), uint64(1), byte(1)).Bytes())
	f.Add(head(0, 1).put("general.alignment", uint32(4), uint32(64)).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			var broken *gguf.FormatError
			if !errors.As(err, &broken) || broken.Offset < 0 || broken.Offset > len(data) {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		floats := 0
		for _, x := range file.Tensors {
			n := 1
			for _, d := range x.Dims {
				n *= d
			}
			if n != len(x.Data) {
				t.Fatalf("tensor %q: %v and %d values", x.Name, x.Dims, len(x.Data))
			}
			floats += n
		}
		if 4*floats > len(data) {
			t.Fatalf("%d values out of %d bytes", floats, len(data))
		}
	})
}

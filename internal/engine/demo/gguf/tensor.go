package gguf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

const typeF32 = 0

// entry is one row of the tensor table: where a tensor's data lies.
type entry struct {
	name   string
	dims   []int
	size   int // bytes
	offset int // from the start of the data
	at     int // of the row in the file, for errors
}

func (r *reader) tensors(n int, meta map[string]any) (map[string]Tensor, error) {
	align, err := r.alignment(meta)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, n)
	seen := make(map[string]bool, n)
	for i := range n {
		r.where = fmt.Sprintf("tensor %d", i)
		e, err := r.entry(align)
		if err != nil {
			return nil, err
		}
		if seen[e.name] {
			return nil, r.failAt(e.at, "the tensor is there twice")
		}
		seen[e.name] = true
		entries = append(entries, e)
	}
	base := (r.pos + align - 1) / align * align
	if err := r.checkLayout(entries, base); err != nil {
		return nil, err
	}
	out := make(map[string]Tensor, n)
	for _, e := range entries {
		r.where = fmt.Sprintf("data of tensor %q", e.name)
		start := base + e.offset
		data := floats(r.data[start : start+e.size])
		if i := notFinite(data); i >= 0 {
			return nil, r.failAt(start+4*i, "value %d is not a finite number", i)
		}
		out[e.name] = Tensor{Name: e.name, Dims: e.dims, Data: data}
	}
	return out, nil
}

func (r *reader) entry(align int) (entry, error) {
	e := entry{at: r.pos}
	var err error
	if e.name, err = r.name(); err != nil {
		return e, err
	}
	r.where = fmt.Sprintf("tensor %q", e.name)
	nDims, err := r.u32()
	if err != nil {
		return e, err
	}
	if nDims == 0 || nDims > maxDims {
		return e, r.failAt(r.pos-4, "%d dimensions, want 1 to %d", nDims, maxDims)
	}
	elements := uint64(1)
	for range nDims {
		d, err := r.u64()
		if err != nil {
			return e, err
		}
		// Both factors are at most 2^26 here, so the product cannot overflow.
		if d == 0 || d > maxSize || elements*d > uint64(len(r.data))/4 {
			return e, r.failAt(r.pos-8, "dimension %d does not fit into the file", d)
		}
		elements *= d
		e.dims = append(e.dims, int(d))
	}
	kind, err := r.u32()
	if err != nil {
		return e, err
	}
	if kind != typeF32 {
		return e, r.failAt(r.pos-4, "type %d, only type 0 (F32) can be read", kind)
	}
	offset, err := r.u64()
	if err != nil {
		return e, err
	}
	if offset > uint64(len(r.data)) || offset%uint64(align) != 0 {
		return e, r.failAt(r.pos-8, "data offset %d is outside the file or not a multiple of %d", offset, align)
	}
	e.size, e.offset = int(elements)*4, int(offset)
	return e, nil
}

// checkLayout makes sure that every tensor's data lies in the file and that no
// two share a byte. Together the tensors are then no larger than the file.
func (r *reader) checkLayout(entries []entry, base int) error {
	byOffset := slices.Clone(entries)
	slices.SortFunc(byOffset, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	end := 0
	for _, e := range byOffset {
		r.where = fmt.Sprintf("tensor %q", e.name)
		if e.offset < end {
			return r.failAt(e.at, "its data overlaps that of another tensor")
		}
		end = e.offset + e.size
		if base+end > len(r.data) {
			return r.failAt(e.at, "its data ends at byte %d of a file of %d bytes", base+end, len(r.data))
		}
	}
	return nil
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

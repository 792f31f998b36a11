// Package gguf reads model files in the GGUF format, version 3, with 32-bit
// float tensors.
//
// It owns the file format and nothing else: what the keys and tensors mean is
// the caller's. A file is untrusted input. Every length, count, offset and depth
// in it is checked against the bytes that are really there before anything is
// allocated, so that memory stays within a small multiple of the file's size,
// and a broken file gives a *FormatError, never a panic.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
package gguf

import (
	"fmt"
	"math"
)

// Limits of what a file may hold. They are far above what a small model needs
// and far below what could exhaust a machine.
const (
	maxSize       = 64 << 20 // bytes of a text, elements of an array, or a dimension of a tensor
	maxKeys       = 4096     // metadata entries
	maxTensors    = 4096     // tensors
	maxNameLen    = 65535    // bytes of a key or tensor name, as the format says
	maxDims       = 4        // dimensions of a tensor, as the format says
	maxArrayDepth = 4        // arrays within arrays
	maxAlignment  = 4096     // bytes
	defaultAlign  = 32       // bytes, where the file has no general.alignment
)

// A FormatError tells what is broken in a file and where.
type FormatError struct {
	Offset int    // byte in the file at which reading stopped
	Where  string // what was being read, such as `tensor "output.weight"`
	What   string // what is wrong with it
}

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("broken GGUF file: %s at byte %d: %s", e.Where, e.Offset, e.What)
}

// A Tensor is an array of 32-bit floats. Dims are in the file's order: the first
// one varies fastest.
type Tensor struct {
	Name string
	Dims []int
	Data []float32
}

// A File is the content of a model file: its metadata and its tensors, each by
// name. Scalars have the Go type of the same name and width; arrays are slices
// of those, or []any for arrays of arrays.
type File struct {
	Meta    map[string]any
	Tensors map[string]Tensor
}

// Parse reads a model file. The result does not refer to data.
// Errors are of type *FormatError.
func Parse(data []byte) (*File, error) {
	r := &reader{data: data, where: "header"}
	nTensors, nKeys, err := r.header()
	if err != nil {
		return nil, err
	}
	meta, err := r.metadata(nKeys)
	if err != nil {
		return nil, err
	}
	tensors, err := r.tensors(nTensors, meta)
	if err != nil {
		return nil, err
	}
	return &File{Meta: meta, Tensors: tensors}, nil
}

func (r *reader) header() (tensors, keys int, err error) {
	magic, err := r.bytes(4)
	if err != nil {
		return 0, 0, err
	}
	if string(magic) != "GGUF" {
		return 0, 0, r.failAt(0, "the file does not begin with GGUF")
	}
	version, err := r.u32()
	if err != nil {
		return 0, 0, err
	}
	if version != 3 {
		return 0, 0, r.failAt(4, "version %d, only version 3 can be read", version)
	}
	// The smallest tensor entry takes 24 bytes, the smallest key 13.
	if tensors, err = r.count("tensors", maxTensors, 24); err != nil {
		return 0, 0, err
	}
	if keys, err = r.count("metadata keys", maxKeys, 13); err != nil {
		return 0, 0, err
	}
	return tensors, keys, nil
}

func (r *reader) metadata(n int) (map[string]any, error) {
	meta := make(map[string]any, n)
	for i := range n {
		r.where = fmt.Sprintf("metadata key %d", i)
		key, err := r.name()
		if err != nil {
			return nil, err
		}
		r.where = fmt.Sprintf("metadata %q", key)
		if _, twice := meta[key]; twice {
			return nil, r.fail("the key is there twice")
		}
		kind, err := r.u32()
		if err != nil {
			return nil, err
		}
		if meta[key], err = r.value(kind, 0); err != nil {
			return nil, err
		}
	}
	return meta, nil
}

// alignment is the boundary in bytes on which tensor data begins.
func (r *reader) alignment(meta map[string]any) (int, error) {
	v, ok := meta["general.alignment"]
	if !ok {
		return defaultAlign, nil
	}
	r.where = `metadata "general.alignment"`
	a, ok := v.(uint32)
	if !ok || a < 8 || a > maxAlignment || a&(a-1) != 0 {
		return 0, r.fail("%v is not a power of two between 8 and %d", v, maxAlignment)
	}
	return int(a), nil
}

// notFinite returns the index of the first value that is not a number or infinite,
// or -1.
func notFinite(data []float32) int {
	const exponent = 0x7f800000
	for i, x := range data {
		if math.Float32bits(x)&exponent == exponent {
			return i
		}
	}
	return -1
}

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Value types of GGUF metadata, by their number in the file.
const (
	ggufUint32  = 4
	ggufInt32   = 5
	ggufFloat32 = 6
	ggufBool    = 7
	ggufString  = 8
	ggufArray   = 9
)

const alignment = 32 // bytes, of tensor data

// keyValue is one entry of the metadata.
type keyValue struct {
	key   string
	value any
}

// metadata describes the model to any engine that reads GGUF.
func metadata(c config, v *vocab) []keyValue {
	n := func(i int) uint32 { return uint32(i) }
	return []keyValue{
		{"general.architecture", "llama"},
		{"general.name", modelName},
		{"general.file_type", n(0)},
		{"llama.block_count", n(c.layers)},
		{"llama.context_length", n(context)},
		{"llama.embedding_length", n(c.dim)},
		{"llama.feed_forward_length", n(c.hidden)},
		{"llama.attention.head_count", n(c.heads)},
		{"llama.attention.head_count_kv", n(c.heads)},
		{"llama.attention.layer_norm_rms_epsilon", float32(epsilon)},
		{"llama.rope.dimension_count", n(c.dim / c.heads)},
		{"llama.rope.freq_base", float32(ropeBase)},
		{"llama.vocab_size", n(c.vocab)},
		{"tokenizer.ggml.model", "llama"},
		{"tokenizer.ggml.pre", "default"},
		{"tokenizer.ggml.tokens", v.pieces},
		{"tokenizer.ggml.scores", v.scores},
		{"tokenizer.ggml.token_type", v.kinds},
		{"tokenizer.ggml.bos_token_id", n(tokenBegin)},
		{"tokenizer.ggml.eos_token_id", n(tokenEnd)},
		{"tokenizer.ggml.unknown_token_id", n(tokenUnknown)},
		{"tokenizer.ggml.add_bos_token", true},
		{"tokenizer.ggml.add_eos_token", false},
		{"tokenizer.ggml.add_space_prefix", true},
		{"tokenizer.chat_template", chatTemplate},
	}
}

// fileWriter builds a file in memory and keeps the first error.
type fileWriter struct {
	buf bytes.Buffer
	err error
}

func (w *fileWriter) put(vs ...any) {
	for _, v := range vs {
		if err := binary.Write(&w.buf, binary.LittleEndian, v); err != nil && w.err == nil {
			w.err = fmt.Errorf("encode %T: %w", v, err)
		}
	}
}

func (w *fileWriter) text(s string) {
	w.put(uint64(len(s)))
	w.buf.WriteString(s)
}

func (w *fileWriter) pad() { w.buf.Write(make([]byte, padding(w.buf.Len()))) }

func padding(n int) int { return (alignment - n%alignment) % alignment }

func (w *fileWriter) value(v any) {
	switch v := v.(type) {
	case uint32:
		w.put(uint32(ggufUint32), v)
	case float32:
		w.put(uint32(ggufFloat32), v)
	case bool:
		w.put(uint32(ggufBool), v)
	case string:
		w.put(uint32(ggufString))
		w.text(v)
	case []string:
		w.put(uint32(ggufArray), uint32(ggufString), uint64(len(v)))
		for _, s := range v {
			w.text(s)
		}
	case []float32:
		w.put(uint32(ggufArray), uint32(ggufFloat32), uint64(len(v)), v)
	case []int32:
		w.put(uint32(ggufArray), uint32(ggufInt32), uint64(len(v)), v)
	default:
		w.err = fmt.Errorf("metadata of type %T cannot be written", v)
	}
}

// writeModel writes the model as GGUF version 3 with 32-bit floats.
func writeModel(out io.Writer, m *model, v *vocab) error {
	w := &fileWriter{}
	meta := metadata(m.config, v)
	w.buf.WriteString("GGUF")
	w.put(uint32(3), uint64(len(m.params)), uint64(len(meta)))
	for _, e := range meta {
		w.text(e.key)
		w.value(e.value)
	}
	offset := 0
	for _, p := range m.params {
		w.text(p.name)
		if p.rows == 1 {
			w.put(uint32(1), uint64(p.cols))
		} else {
			w.put(uint32(2), uint64(p.cols), uint64(p.rows))
		}
		w.put(uint32(0), uint64(offset)) // type 0 is F32
		size := 4 * len(p.w)
		offset += size + padding(size)
	}
	w.pad()
	for _, p := range m.params {
		w.put(p.w)
		w.pad()
	}
	if w.err != nil {
		return w.err
	}
	_, err := out.Write(w.buf.Bytes())
	return err
}

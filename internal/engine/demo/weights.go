package demo

import (
	"fmt"
	"math"

	"github.com/mycoswarm/mycoswarm/internal/engine/demo/gguf"
)

// Limits of a model that this engine runs. A file that asks for more is refused
// before anything of that size is allocated.
const (
	maxContext = 8192 // tokens
	maxLayers  = 64
	maxDim     = 8192
)

// shape is the size of a llama model, as its metadata gives it.
type shape struct {
	dim     int // embedding length
	layers  int
	heads   int
	hidden  int // feed-forward length
	context int // tokens
	vocab   int
	eps     float32 // of the RMS norms
	base    float64 // of the rotary positions
}

// layer is the weights of one block. Matrices are row-major, a row per output.
type layer struct {
	attnNorm, q, k, v, attnOut []float32
	ffnNorm, gate, up, down    []float32
}

// weights is a loaded model. It never changes, so sessions share it.
type weights struct {
	shape
	embed, outNorm, out []float32
	blocks              []layer
	freqs               []float64 // rotary frequency of each pair of a head
	params              int
}

// loader takes values out of a file and keeps the first error.
type loader struct {
	file   *gguf.File
	err    error
	params int
}

func (l *loader) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// number returns the metadata value key, which must lie between low and high.
func (l *loader) number(key string, low, high int) int {
	v, ok := l.file.Meta[key].(uint32)
	if !ok || int64(v) < int64(low) || int64(v) > int64(high) {
		l.fail("metadata %q is %v, want a number from %d to %d", key, l.file.Meta[key], low, high)
		return low
	}
	return int(v)
}

// real returns the metadata value key, or otherwise where the file has none.
func (l *loader) real(key string, otherwise float32) float32 {
	v, ok := l.file.Meta[key]
	if !ok {
		return otherwise
	}
	f, ok := v.(float32)
	if !ok || !(f > 0) || math.IsInf(float64(f), 0) {
		l.fail("metadata %q is %v, want a number above 0", key, v)
		return otherwise
	}
	return f
}

// matrix returns the tensor name, which must have rows x cols values.
func (l *loader) matrix(name string, rows, cols int) []float32 {
	t, ok := l.file.Tensors[name]
	if !ok {
		l.fail("tensor %q is missing", name)
		return nil
	}
	fits := len(t.Dims) == 2 && t.Dims[0] == cols && t.Dims[1] == rows
	if rows == 1 && len(t.Dims) == 1 {
		fits = t.Dims[0] == cols
	}
	if !fits {
		l.fail("tensor %q has dimensions %v, want [%d %d]", name, t.Dims, cols, rows)
		return nil
	}
	l.params += len(t.Data)
	return t.Data
}

func (l *loader) shape() shape {
	if arch := l.file.Meta["general.architecture"]; arch != "llama" {
		l.fail("architecture is %v, only llama can be run", arch)
	}
	s := shape{
		dim:     l.number("llama.embedding_length", 2, maxDim),
		layers:  l.number("llama.block_count", 1, maxLayers),
		heads:   l.number("llama.attention.head_count", 1, maxDim),
		hidden:  l.number("llama.feed_forward_length", 1, 4*maxDim),
		context: l.number("llama.context_length", 2, maxContext),
		eps:     l.real("llama.attention.layer_norm_rms_epsilon", 1e-5),
		base:    float64(l.real("llama.rope.freq_base", 10000)),
	}
	if kv := l.number("llama.attention.head_count_kv", 1, maxDim); kv != s.heads {
		l.fail("%d key heads for %d heads: grouped heads cannot be run", kv, s.heads)
	}
	if s.dim%s.heads != 0 || s.dim/s.heads%2 != 0 {
		l.fail("embedding length %d cannot be split into %d heads of pairs", s.dim, s.heads)
	} else if rot := l.number("llama.rope.dimension_count", 2, maxDim); rot != s.dim/s.heads {
		l.fail("%d rotary dimensions, want %d", rot, s.dim/s.heads)
	}
	return s
}

// load checks that file holds a llama model with a vocabulary of the given size,
// and takes out its weights.
func load(file *gguf.File, vocab int) (*weights, error) {
	l := &loader{file: file}
	w := &weights{shape: l.shape()}
	if l.err != nil {
		return nil, l.err
	}
	w.vocab = vocab
	w.embed = l.matrix("token_embd.weight", vocab, w.dim)
	for i := range w.layers {
		w.blocks = append(w.blocks, l.layer(i, w.shape))
	}
	w.outNorm = l.matrix("output_norm.weight", 1, w.dim)
	w.out = w.embed
	if _, ok := file.Tensors["output.weight"]; ok {
		w.out = l.matrix("output.weight", vocab, w.dim)
	}
	head := w.dim / w.heads
	for i := 0; i < head; i += 2 {
		w.freqs = append(w.freqs, math.Pow(w.base, -float64(i)/float64(head)))
	}
	w.params = l.params
	return w, l.err
}

func (l *loader) layer(i int, s shape) layer {
	m := func(name string, rows, cols int) []float32 {
		return l.matrix(fmt.Sprintf("blk.%d.%s.weight", i, name), rows, cols)
	}
	return layer{
		attnNorm: m("attn_norm", 1, s.dim),
		q:        m("attn_q", s.dim, s.dim),
		k:        m("attn_k", s.dim, s.dim),
		v:        m("attn_v", s.dim, s.dim),
		attnOut:  m("attn_output", s.dim, s.dim),
		ffnNorm:  m("ffn_norm", 1, s.dim),
		gate:     m("ffn_gate", s.hidden, s.dim),
		up:       m("ffn_up", s.hidden, s.dim),
		down:     m("ffn_down", s.dim, s.hidden),
	}
}

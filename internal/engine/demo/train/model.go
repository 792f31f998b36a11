package main

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// config is the size of a llama decoder (RMS norms, rotary positions, SwiGLU,
// tied embeddings).
type config struct{ vocab, dim, layers, heads, hidden int }

// param is a matrix of weights, row-major with a row per output, and the two
// running means of its gradient that Adam keeps.
type param struct {
	name       string
	index      int // in model.params and in grads
	rows, cols int
	w, m, v    []float32
}

// block is the weights of one layer.
type block struct {
	attnNorm, q, k, v, attnOut, ffnNorm, gate, up, down *param
}

type model struct {
	config
	params  []*param
	embed   *param
	blocks  []block
	outNorm *param
}

// newModel returns a model with random weights. The order in which they are drawn
// is part of the result.
func newModel(c config, r *rand.Rand) *model {
	m := &model{config: c}
	add := func(name string, rows, cols int, deviation float64) *param {
		n := rows * cols
		p := &param{name: name + ".weight", index: len(m.params), rows: rows, cols: cols, w: make([]float32, n), m: make([]float32, n), v: make([]float32, n)}
		for i := range p.w {
			p.w[i] = 1
			if deviation != 0 {
				p.w[i] = float32(r.NormFloat64() * deviation)
			}
		}
		m.params = append(m.params, p)
		return p
	}
	m.embed = add("token_embd", c.vocab, c.dim, 0.05)
	in := 1 / math.Sqrt(float64(c.dim))
	out := in / math.Sqrt(float64(2*c.layers))
	for i := range c.layers {
		prefix := fmt.Sprintf("blk.%d.", i)
		m.blocks = append(m.blocks, block{
			attnNorm: add(prefix+"attn_norm", 1, c.dim, 0),
			q:        add(prefix+"attn_q", c.dim, c.dim, in),
			k:        add(prefix+"attn_k", c.dim, c.dim, in),
			v:        add(prefix+"attn_v", c.dim, c.dim, in),
			attnOut:  add(prefix+"attn_output", c.dim, c.dim, out),
			ffnNorm:  add(prefix+"ffn_norm", 1, c.dim, 0),
			gate:     add(prefix+"ffn_gate", c.hidden, c.dim, in),
			up:       add(prefix+"ffn_up", c.hidden, c.dim, in),
			down:     add(prefix+"ffn_down", c.dim, c.hidden, out),
		})
	}
	m.outNorm = add("output_norm", 1, c.dim, 0)
	return m
}

// grads holds a gradient for each param of a model, by its index.
type grads [][]float32

func (m *model) newGrads() grads {
	g := make(grads, len(m.params))
	for i, p := range m.params {
		g[i] = make([]float32, len(p.w))
	}
	return g
}

func (g grads) of(p *param) []float32 { return g[p.index] }

package main

import "math"

// example is a text as tokens, and the token to be learned after each.
type example struct{ tokens, targets []int }

// trace is what the way back needs of the way forward through one layer: a row
// for each token.
type trace struct {
	in, norm1, q, k, v, mix, mid, norm2, gate, up, hidden [][]float32
	scale1, scale2                                        []float32
	attention                                             [][]float32 // token*heads+head: a share for each token before
}

func newTrace(c config, in [][]float32) *trace {
	n := len(in)
	dim := func() [][]float32 { return rows(n, c.dim) }
	hidden := func() [][]float32 { return rows(n, c.hidden) }
	return &trace{
		in: in, norm1: dim(), q: dim(), k: dim(), v: dim(), mix: dim(), mid: dim(), norm2: dim(),
		gate: hidden(), up: hidden(), hidden: hidden(),
		scale1: make([]float32, n), scale2: make([]float32, n), attention: make([][]float32, n*c.heads),
	}
}

// learn runs one example forward and back, adds to g, and returns the summed loss
// and the number of tokens it is of.
func (m *model) learn(e example, g grads) (loss float64, n int) {
	x := rows(len(e.tokens), m.dim)
	for t, id := range e.tokens {
		copy(x[t], m.embed.w[id*m.dim:(id+1)*m.dim])
	}
	traces := make([]*trace, m.layers)
	for l := range m.blocks {
		traces[l] = newTrace(m.config, x)
		x = m.forward(&m.blocks[l], traces[l])
	}
	dx, loss, n := m.predict(x, e.targets, g)
	for l := m.layers - 1; l >= 0; l-- {
		dx = m.backward(&m.blocks[l], traces[l], dx, g)
	}
	de := g.of(m.embed)
	for t, id := range e.tokens {
		addScaled(de[id*m.dim:(id+1)*m.dim], 1, dx[t])
	}
	return loss, n
}

// forward runs one layer, fills its trace, and returns its output.
func (m *model) forward(b *block, k *trace) [][]float32 {
	out := rows(len(k.in), m.dim)
	head := m.dim / m.heads
	for t, x := range k.in {
		k.scale1[t] = norm(k.norm1[t], x, b.attnNorm.w)
		multiply(k.q[t], b.q.w, k.norm1[t])
		multiply(k.k[t], b.k.w, k.norm1[t])
		multiply(k.v[t], b.v.w, k.norm1[t])
		rotate(k.q[t], t, head, 1)
		rotate(k.k[t], t, head, 1)
		for h := range m.heads {
			k.attention[t*m.heads+h] = k.attend(t, h*head, (h+1)*head)
		}
		multiply(k.mid[t], b.attnOut.w, k.mix[t])
		addScaled(k.mid[t], 1, x)
		k.scale2[t] = norm(k.norm2[t], k.mid[t], b.ffnNorm.w)
		multiply(k.gate[t], b.gate.w, k.norm2[t])
		multiply(k.up[t], b.up.w, k.norm2[t])
		for i, z := range k.gate[t] {
			k.hidden[t][i] = z / (1 + float32(math.Exp(-float64(z)))) * k.up[t][i]
		}
		multiply(out[t], b.down.w, k.hidden[t])
		addScaled(out[t], 1, k.mid[t])
	}
	return out
}

// attend mixes the values up to token t for the head of columns from to to, and
// returns the share of each.
func (k *trace) attend(t, from, to int) []float32 {
	scale := headScale(to - from)
	shares := make([]float32, t+1)
	highest := float32(-1e30)
	for u := range shares {
		shares[u] = dot(k.q[t][from:to], k.k[u][from:to]) * scale
		highest = max(highest, shares[u])
	}
	var sum float32
	for u := range shares {
		shares[u] = float32(math.Exp(float64(shares[u] - highest)))
		sum += shares[u]
	}
	for u := range shares {
		shares[u] /= sum
		addScaled(k.mix[t][from:to], shares[u], k.v[u][from:to])
	}
	return shares
}

func headScale(size int) float32 { return float32(1 / math.Sqrt(float64(size))) }

// predict compares what follows each token with its target, adds to g, and
// returns the gradient of x with the summed loss and the number of targets.
func (m *model) predict(x [][]float32, targets []int, g grads) (dx [][]float32, loss float64, n int) {
	dx = rows(len(x), m.dim)
	logits := make([]float32, m.vocab)
	normed, dnormed := make([]float32, m.dim), make([]float32, m.dim)
	for t, target := range targets {
		if target == ignored {
			continue
		}
		r := norm(normed, x[t], m.outNorm.w)
		multiply(logits, m.embed.w, normed)
		loss += surprise(logits, target)
		n++
		clear(dnormed)
		multiplyBack(g.of(m.embed), dnormed, logits, m.embed.w, normed)
		normBack(g.of(m.outNorm), dx[t], dnormed, x[t], m.outNorm.w, r)
	}
	return dx, loss, n
}

// surprise returns the cross entropy of logits and target, and turns logits into
// their gradient; shares too small to matter become 0, which saves work.
func surprise(logits []float32, target int) float64 {
	highest := logits[0]
	for _, z := range logits {
		highest = max(highest, z)
	}
	var sum float64
	for i := range logits {
		logits[i] = float32(math.Exp(float64(logits[i] - highest)))
		sum += float64(logits[i])
	}
	loss := math.Log(float64(logits[target])/sum + 1e-30)
	for i := range logits {
		logits[i] = float32(float64(logits[i]) / sum)
		if logits[i] < 1e-5 {
			logits[i] = 0
		}
	}
	logits[target]--
	return -loss
}

// backward takes dx, the gradient of a layer's output, adds to g, and returns the
// gradient of its input.
func (m *model) backward(b *block, k *trace, dx [][]float32, g grads) [][]float32 {
	n, head := len(k.in), m.dim/m.heads
	din, dq, dk, dv := rows(n, m.dim), rows(n, m.dim), rows(n, m.dim), rows(n, m.dim)
	for t := n - 1; t >= 0; t-- {
		dmid := m.transformBack(b, k, t, dx[t], g)
		addScaled(din[t], 1, dmid)
		dmix := make([]float32, m.dim)
		multiplyBack(g.of(b.attnOut), dmix, dmid, b.attnOut.w, k.mix[t])
		for h := range m.heads {
			k.attendBack(t, k.attention[t*m.heads+h], h*head, (h+1)*head, dmix, dq, dk, dv)
		}
	}
	for t := range n {
		rotate(dq[t], t, head, -1)
		rotate(dk[t], t, head, -1)
		dnorm := make([]float32, m.dim)
		multiplyBack(g.of(b.q), dnorm, dq[t], b.q.w, k.norm1[t])
		multiplyBack(g.of(b.k), dnorm, dk[t], b.k.w, k.norm1[t])
		multiplyBack(g.of(b.v), dnorm, dv[t], b.v.w, k.norm1[t])
		normBack(g.of(b.attnNorm), din[t], dnorm, k.in[t], b.attnNorm.w, k.scale1[t])
	}
	return din
}

// transformBack goes back through the feed-forward part at token t, and returns
// the gradient of what went into it.
func (m *model) transformBack(b *block, k *trace, t int, dx []float32, g grads) []float32 {
	dhidden, dgate, dup := make([]float32, m.hidden), make([]float32, m.hidden), make([]float32, m.hidden)
	dnorm := make([]float32, m.dim)
	multiplyBack(g.of(b.down), dhidden, dx, b.down.w, k.hidden[t])
	for i, z := range k.gate[t] {
		s := 1 / (1 + float32(math.Exp(-float64(z))))
		dup[i] = dhidden[i] * z * s
		dgate[i] = dhidden[i] * k.up[t][i] * (s + z*s*(1-s))
	}
	multiplyBack(g.of(b.gate), dnorm, dgate, b.gate.w, k.norm2[t])
	multiplyBack(g.of(b.up), dnorm, dup, b.up.w, k.norm2[t])
	dmid := append([]float32(nil), dx...)
	normBack(g.of(b.ffnNorm), dmid, dnorm, k.mid[t], b.ffnNorm.w, k.scale2[t])
	return dmid
}

// attendBack takes the gradient of attend's mix at token t and adds to those of
// the queries, keys and values.
func (k *trace) attendBack(t int, shares []float32, from, to int, dmix []float32, dq, dk, dv [][]float32) {
	scale := headScale(to - from)
	dshares := make([]float32, t+1)
	var sum float32
	for u := range shares {
		dshares[u] = dot(dmix[from:to], k.v[u][from:to])
		addScaled(dv[u][from:to], shares[u], dmix[from:to])
		sum += shares[u] * dshares[u]
	}
	for u := range shares {
		d := shares[u] * (dshares[u] - sum) * scale
		addScaled(dq[t][from:to], d, k.k[u][from:to])
		addScaled(dk[u][from:to], d, k.q[t][from:to])
	}
}

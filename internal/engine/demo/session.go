package demo

import "math"

// session is one run of a model over a growing text: the keys and values of the
// tokens so far, and scratch space. It belongs to one call.
type session struct {
	w   *weights
	pos int // tokens so far
	// keys and values hold one row of dim values a token, for each layer.
	keys, values [][]float32

	x, norm, q, k, v, mix, add []float32 // dim
	gate, up                   []float32 // hidden
	scores                     []float64 // one a token
	cos, sin                   []float32 // one a pair of a head
	logits                     []float32 // vocab
}

func newSession(w *weights) *session {
	s := &session{w: w, keys: make([][]float32, w.layers), values: make([][]float32, w.layers)}
	for _, b := range []*[]float32{&s.x, &s.norm, &s.q, &s.k, &s.v, &s.mix, &s.add} {
		*b = make([]float32, w.dim)
	}
	s.gate, s.up = make([]float32, w.hidden), make([]float32, w.hidden)
	s.cos, s.sin = make([]float32, len(w.freqs)), make([]float32, len(w.freqs))
	s.logits = make([]float32, w.vocab)
	return s
}

// full reports whether the context has no room for another token.
func (s *session) full() bool { return s.pos >= s.w.context }

// feed runs the model over one more token. The caller makes sure that there is room.
func (s *session) feed(token int) {
	w := s.w
	copy(s.x, w.embed[token*w.dim:(token+1)*w.dim])
	for i, f := range w.freqs {
		angle := float64(s.pos) * f
		s.cos[i], s.sin[i] = float32(math.Cos(angle)), float32(math.Sin(angle))
	}
	for i := range w.blocks {
		s.attend(i)
		s.transform(&w.blocks[i])
	}
	s.pos++
}

// attend adds the attention of block i to x.
func (s *session) attend(i int) {
	b := &s.w.blocks[i]
	rmsNorm(s.norm, s.x, b.attnNorm, s.w.eps)
	multiply(s.q, b.q, s.norm)
	multiply(s.k, b.k, s.norm)
	multiply(s.v, b.v, s.norm)
	s.rotate(s.q)
	s.rotate(s.k)
	s.keys[i] = append(s.keys[i], s.k...)
	s.values[i] = append(s.values[i], s.v...)
	clear(s.mix)
	size := s.w.dim / s.w.heads
	for h := 0; h < s.w.dim; h += size {
		s.head(s.keys[i], s.values[i], h, h+size)
	}
	multiply(s.add, b.attnOut, s.mix)
	accumulate(s.x, s.add)
}

// head mixes the values of all tokens for the head that spans columns from to to.
func (s *session) head(keys, values []float32, from, to int) {
	dim, n := s.w.dim, s.pos+1
	for len(s.scores) < n {
		s.scores = append(s.scores, 0)
	}
	scores := s.scores[:n]
	scale := math.Sqrt(float64(to - from))
	highest := math.Inf(-1)
	for t := range scores {
		scores[t] = float64(dot(s.q[from:to], keys[t*dim+from:t*dim+to])) / scale
		highest = max(highest, scores[t])
	}
	sum := 0.0
	for t := range scores {
		scores[t] = math.Exp(scores[t] - highest)
		sum += scores[t]
	}
	mix := s.mix[from:to]
	for t := range scores {
		share := float32(scores[t] / sum)
		for i, v := range values[t*dim+from : t*dim+to] {
			mix[i] += share * v
		}
	}
}

// transform adds the feed-forward part (SwiGLU) of block b to x.
func (s *session) transform(b *layer) {
	rmsNorm(s.norm, s.x, b.ffnNorm, s.w.eps)
	multiply(s.gate, b.gate, s.norm)
	multiply(s.up, b.up, s.norm)
	for i, z := range s.gate {
		s.gate[i] = z / (1 + float32(math.Exp(-float64(z)))) * s.up[i]
	}
	multiply(s.add, b.down, s.gate)
	accumulate(s.x, s.add)
}

// best returns the most likely next token; of equals, the first.
func (s *session) best() int {
	rmsNorm(s.norm, s.x, s.w.outNorm, s.w.eps)
	multiply(s.logits, s.w.out, s.norm)
	best := 0
	for i, l := range s.logits {
		if l > s.logits[best] {
			best = i
		}
	}
	return best
}

// rotate turns neighbouring pairs of each head by the token's position.
func (s *session) rotate(x []float32) {
	pairs := len(s.cos)
	for p := 0; p < len(x)/2; p++ {
		c, n := s.cos[p%pairs], s.sin[p%pairs]
		a, b := x[2*p], x[2*p+1]
		x[2*p], x[2*p+1] = a*c-b*n, a*n+b*c
	}
}

func rmsNorm(out, x, gain []float32, eps float32) {
	var sum float32
	for _, a := range x {
		sum += a * a
	}
	r := 1 / float32(math.Sqrt(float64(sum/float32(len(x))+eps)))
	for i, a := range x {
		out[i] = a * r * gain[i]
	}
}

// multiply sets out to the matrix m times x.
func multiply(out, m, x []float32) {
	n := len(x)
	for i := range out {
		out[i] = dot(m[i*n:(i+1)*n], x)
	}
}

func accumulate(x, add []float32) {
	for i, a := range add {
		x[i] += a
	}
}

// dot keeps four sums, which lets the processor work on several at once.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+8 <= len(a); i += 8 {
		x, y := a[i:i+8:i+8], b[i:i+8:i+8]
		s0 += x[0]*y[0] + x[4]*y[4]
		s1 += x[1]*y[1] + x[5]*y[5]
		s2 += x[2]*y[2] + x[6]*y[6]
		s3 += x[3]*y[3] + x[7]*y[7]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

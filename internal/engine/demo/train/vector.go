package main

import "math"

const epsilon = 1e-5 // of the norms

// The order of additions below is part of the result: a change of it changes the
// trained file.

// dot returns the inner product of two vectors, in eight partial sums.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	i := 0
	for ; i+8 <= len(a); i += 8 {
		x, y := a[i:i+8:i+8], b[i:i+8:i+8]
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		s4 += x[4] * y[4]
		s5 += x[5] * y[5]
		s6 += x[6] * y[6]
		s7 += x[7] * y[7]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3) + (s4 + s5) + (s6 + s7)
}

// addScaled adds f times x to y.
func addScaled(y []float32, f float32, x []float32) {
	y = y[:len(x)]
	i := 0
	for ; i+8 <= len(x); i += 8 {
		p, q := x[i:i+8:i+8], y[i:i+8:i+8]
		q[0] += f * p[0]
		q[1] += f * p[1]
		q[2] += f * p[2]
		q[3] += f * p[3]
		q[4] += f * p[4]
		q[5] += f * p[5]
		q[6] += f * p[6]
		q[7] += f * p[7]
	}
	for ; i < len(x); i++ {
		y[i] += f * x[i]
	}
}

// multiply sets y to the matrix w times x.
func multiply(y, w, x []float32) {
	n := len(x)
	for i := range y {
		y[i] = dot(w[i*n:i*n+n], x)
	}
}

// multiplyBack takes dy, the gradient of multiply's y, and adds to those of w and x.
func multiplyBack(dw, dx, dy, w, x []float32) {
	n := len(x)
	for i, g := range dy {
		if g == 0 {
			continue
		}
		addScaled(dx, g, w[i*n:i*n+n])
		addScaled(dw[i*n:i*n+n], g, x)
	}
}

// norm sets y to x scaled to unit mean square, times gain, and returns the scale.
func norm(y, x, gain []float32) float32 {
	square := float64(dot(x, x))/float64(len(x)) + epsilon
	r := float32(1 / math.Sqrt(square))
	for i := range x {
		y[i] = x[i] * r * gain[i]
	}
	return r
}

// normBack takes dy, the gradient of norm's y, and adds to those of gain and x.
func normBack(dgain, dx, dy, x, gain []float32, r float32) {
	var s float32
	for i := range x {
		s += dy[i] * gain[i] * x[i]
		dgain[i] += dy[i] * x[i] * r
	}
	k := r * r * r * s / float32(len(x))
	for i := range x {
		dx[i] += dy[i]*gain[i]*r - k*x[i]
	}
}

// rotate turns neighbouring pairs of each head of v by the angle of position pos;
// sign -1 turns back.
func rotate(v []float32, pos, head int, sign float64) {
	for h := 0; h < len(v); h += head {
		for i := 0; i < head; i += 2 {
			angle := sign * float64(pos) * math.Pow(ropeBase, -float64(i)/float64(head))
			c, s := float32(math.Cos(angle)), float32(math.Sin(angle))
			a, b := v[h+i], v[h+i+1]
			v[h+i], v[h+i+1] = a*c-b*s, a*s+b*c
		}
	}
}

// rows returns n vectors of the given length, in one piece of memory.
func rows(n, length int) [][]float32 {
	all := make([]float32, n*length)
	out := make([][]float32, n)
	for i := range out {
		out[i] = all[i*length : (i+1)*length : (i+1)*length]
	}
	return out
}

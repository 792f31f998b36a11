package main

import (
	"math"
	"sync"
)

// shards is how many parts a batch is split into, each with a goroutine. It is
// fixed, whatever the number of processors: sums depend on it.
const shards = 2

// Constants of Adam.
const (
	beta1     = 0.9
	beta2     = 0.98
	adamSmall = 1e-8
)

// trainer changes a model step by step.
type trainer struct {
	m  *model
	gs [shards]grads
}

func newTrainer(m *model) *trainer {
	t := &trainer{m: m}
	for i := range t.gs {
		t.gs[i] = m.newGrads()
	}
	return t
}

// step learns one batch, as step number it, and returns the mean loss of a token.
func (t *trainer) step(batch []example, it int, rate float64) float64 {
	loss, n := t.gradients(batch)
	square := t.mean(n)
	clip := float32(min(1, 1/math.Sqrt(square+1e-12)))
	c1 := float32(1 - math.Pow(beta1, float64(it)))
	c2 := float32(1 - math.Pow(beta2, float64(it)))
	for _, p := range t.m.params {
		for i, g := range t.gs[0].of(p) {
			g *= clip
			p.m[i] = beta1*p.m[i] + (1-beta1)*g
			p.v[i] = beta2*p.v[i] + (1-beta2)*g*g
			p.w[i] -= float32(rate) * (p.m[i] / c1) / (float32(math.Sqrt(float64(p.v[i]/c2))) + adamSmall)
		}
	}
	return loss / float64(n)
}

// gradients fills the gradients of each shard.
func (t *trainer) gradients(batch []example) (loss float64, n int) {
	var losses [shards]float64
	var counts [shards]int
	var wg sync.WaitGroup
	for s, g := range t.gs {
		wg.Go(func() {
			for _, x := range g {
				clear(x)
			}
			for i := s; i < len(batch); i += shards {
				l, c := t.m.learn(batch[i], g)
				losses[s] += l
				counts[s] += c
			}
		})
	}
	wg.Wait()
	for s := range losses {
		loss += losses[s]
		n += counts[s]
	}
	return loss, n
}

// mean gathers the shards in the first one, divided by n, and returns the square
// of the gradient's length.
func (t *trainer) mean(n int) (square float64) {
	for _, p := range t.m.params {
		sum := t.gs[0].of(p)
		for _, g := range t.gs[1:] {
			addScaled(sum, 1, g.of(p))
		}
		for i := range sum {
			sum[i] /= float32(n)
		}
		square += float64(dot(sum, sum))
	}
	return square
}

// Command train makes the embedded demo model: it trains a very small llama on a
// few hundred questions and answers, with the standard library alone, and writes
// it as a GGUF file.
//
//	go generate ./internal/engine/demo
//
// The result is the same byte for byte in each run on amd64 (with the default
// GOAMD64=v1: other settings let the compiler fuse multiplications and additions,
// which round differently). It takes about a minute.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
)

const (
	batchSize = 24     // examples a step
	warmup    = 100.0  // steps until the full learning rate
	peakRate  = 3e-3   // learning rate after warm-up
	lastRate  = 0.02   // share of peakRate at the last step
	smoothing = 0.97   // of the loss that is printed
	context   = 256    // tokens that the model may be asked for
	ropeBase  = 10_000 // of the rotary positions
	modelName = "tinylm"
	ignored   = -1 // target of a token that is not to be learned
)

const chatTemplate = `{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}`

func main() {
	out := flag.String("o", "tinylm.gguf", "file to write")
	steps := flag.Int("steps", 450, "training steps")
	flag.Parse()
	if err := run(*out, *steps); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

func run(path string, steps int) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create model file: %w", err)
	}
	if err = errors.Join(train(f, steps, os.Stderr), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// train trains a model for the given number of steps, tells progress, and writes
// the model to out.
func train(out io.Writer, steps int, progress io.Writer) error {
	pairs := dataset()
	v := vocabOf(pairs)
	r := newRand()
	m := newModel(config{vocab: len(v.pieces), dim: 96, layers: 2, heads: 4, hidden: 192}, r)
	params := 0
	for _, p := range m.params {
		params += len(p.w)
	}
	fmt.Fprintln(progress, len(pairs), "pairs,", len(v.pieces), "pieces,", params, "parameters")

	draw := sampler{pairs: pairs, vocab: v, rand: r}
	t := newTrainer(m)
	var average float64
	for step := 1; step <= steps; step++ {
		loss := t.step(draw.batch(), step, learningRate(step, steps))
		if step == 1 {
			average = loss
		}
		average = smoothing*average + (1-smoothing)*loss
		if step%50 == 0 || step == steps {
			fmt.Fprintf(progress, "step %d of %d, loss %.4f\n", step, steps, average)
		}
	}
	return writeModel(out, m, v)
}

// newRand is where all chance comes from; its seed is part of the result.
func newRand() *rand.Rand { return rand.New(rand.NewPCG(7, 9)) }

// learningRate rises over the warm-up, and falls along a cosine to the last step.
func learningRate(step, steps int) float64 {
	done := float64(step) / float64(steps)
	return peakRate * min(1, float64(step)/warmup) * (lastRate + (1-lastRate)*0.5*(1+math.Cos(math.Pi*min(1, done))))
}

// sampler draws questions in random order, each once an epoch, and varies how
// they are written.
type sampler struct {
	pairs []pair
	vocab *vocab
	rand  *rand.Rand
	order []int // what is left of this epoch
}

func (s *sampler) batch() []example {
	var b []example
	for len(b) < batchSize {
		if len(s.order) == 0 {
			s.order = s.rand.Perm(len(s.pairs))
		}
		p := s.pairs[s.order[0]]
		s.order = s.order[1:]
		switch s.rand.IntN(4) {
		case 0:
			p.question = strings.TrimRight(p.question, "?.!")
		case 1:
			p.question = strings.ToLower(p.question[:1]) + p.question[1:]
		}
		b = append(b, s.example(p))
	}
	return b
}

// example lays out a pair as the engine will: the model learns the answer and the
// end, not the question.
func (s *sampler) example(p pair) example {
	tokens := append([]int{tokenBegin, s.vocab.ids[markUser]}, s.vocab.encode(p.question)...)
	tokens = append(tokens, s.vocab.ids[markAssistant])
	asked := len(tokens)
	tokens = append(append(tokens, s.vocab.encode(p.answer)...), tokenEnd)
	e := example{tokens: tokens[:len(tokens)-1], targets: append([]int(nil), tokens[1:]...)}
	for i := range asked - 1 {
		e.targets[i] = ignored
	}
	return e
}

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/internal/engine/demo/gguf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTrainingIsDeterministicAndReadable(t *testing.T) {
	t.Parallel()
	var a, b bytes.Buffer
	if err := errors.Join(train(&a, 2, io.Discard), train(&b, 2, io.Discard)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two runs wrote different files")
	}
	made, err := gguf.Parse(a.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../tinylm.gguf")
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Meta) != len(embedded.Meta) || len(made.Tensors) != len(embedded.Tensors) {
		t.Errorf("%d keys and %d tensors, the embedded file has %d and %d",
			len(made.Meta), len(made.Tensors), len(embedded.Meta), len(embedded.Tensors))
	}
	const key = "tokenizer.ggml.tokens"
	if !slices.Equal(made.Meta[key].([]string), embedded.Meta[key].([]string)) {
		t.Error("the vocabulary is not that of the embedded file: run go generate")
	}
}

func TestLossFalls(t *testing.T) {
	t.Parallel()
	v := vocabOf(dataset())
	m := newModel(config{vocab: len(v.pieces), dim: 16, layers: 1, heads: 2, hidden: 16}, newRand())
	s := sampler{pairs: dataset()[:batchSize], vocab: v, rand: newRand()}
	tr := newTrainer(m)
	first, last := 0.0, 0.0
	for i := 1; i <= 30; i++ {
		last = tr.step(s.batch(), i, 1e-2)
		if i == 1 {
			first = last
		}
	}
	if last > first/2 {
		t.Errorf("loss fell from %.2f to %.2f only", first, last)
	}
}

func TestRunNamesTheFileItCannotWrite(t *testing.T) {
	t.Parallel()
	err := run(filepath.Join(t.TempDir(), "none", "model.gguf"), 1)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want not exist", err)
	}
}

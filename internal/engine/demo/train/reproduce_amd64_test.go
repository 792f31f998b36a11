//go:build e2e

package main

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// TestReproduces makes the embedded file anew, which takes about a minute.
func TestReproduces(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../tinylm.gguf")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := train(&got, 450, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the trained file differs from the embedded one")
	}
}

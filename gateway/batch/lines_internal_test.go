package batch

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The lines that are found are those of the file, without the empty ones, and whatever they say is read or refused.
func FuzzLines(f *testing.F) {
	f.Add([]byte("\n{}\n \n" + `{"custom_id":"a","method":"POST","url":"/v1/completions","body":{"model":"m"}}`))
	f.Add([]byte(strings.Repeat("x", 70<<10) + "\n" + strings.Repeat(" ", 70<<10) + "\ny"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		var got, want [][]byte
		for l, err := range lines(in) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, data[l.at:l.at+int64(l.size)])
			if n := bytes.Count(data[:l.at], []byte("\n")) + 1; n != l.number {
				t.Errorf("line %d is told as %d", n, l.number)
			}
		}
		for l := range bytes.Lines(data) {
			if len(bytes.TrimSpace(l)) > 0 || len(l) > 64<<10 { // a long one is not looked at
				want = append(want, l)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("line %q, want %q", got[i], want[i])
			}
		}
		path := filepath.Join(t.TempDir(), "in")
		file, err := os.Create(path)
		if err == nil {
			_, err = file.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		total, faults, err := validate(t.Context(), "/v1/completions", file, func(string, string) bool { return true })
		if err != nil || total > len(got) || total < len(got) && len(faults) == 0 {
			t.Errorf("%d requests in %d lines, %v, %v", total, len(got), faults, err)
		}
		// And as what a batch has come to.
		done := map[int]bool{}
		out, come, err := partial(path, "batch_x", done)
		if err != nil || len(done) > come.n {
			t.Fatalf("%d outcomes of %d lines, %v", come.n, len(done), err)
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
}

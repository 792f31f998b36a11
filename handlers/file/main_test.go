package file_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// cache is for what PDFium is compiled to: once for all tests.
var cache string

func TestMain(m *testing.M) {
	var err error
	if cache, err = os.MkdirTemp("", "pdfium-*"); err != nil { //nolint:usetesting // it is for all tests
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(cache); err != nil && code == 0 {
			code = 1
		}
		os.Exit(code)
	}))
}

package file_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/handlers/file"
)

// cache is for what PDFium is compiled to: once for all tests.
var cache string

// readDocument is the first argument of this program where it is a Config.Reader.
const readDocument = "read-document"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == readDocument {
		if err := file.Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var err error
	if cache, err = os.MkdirTemp("", "pdfium-*"); err != nil { // it is for all tests
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

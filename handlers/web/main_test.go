package web_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/handlers/web"
)

// readPage is the first argument of this program where it is a Config.Reader.
const readPage = "read-page"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == readPage {
		if err := web.Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

//go:build e2e && windows

package windows_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// What this program is where it does not run tests: see runConsole and runPlugin.
const (
	asConsole = "console"
	asPlugin  = "plugin"
	asChild   = "child"
)

// bin is the folder with mycod.exe and myco.exe.
var bin string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case asConsole:
			os.Exit(runConsole(os.Args[2:]))
		case asPlugin:
			os.Exit(runPlugin())
		case asChild:
			<-time.After(time.Hour) // it is ended
		}
	}
	os.Exit(tests(m))
}

func tests(m *testing.M) int {
	if bin = os.Getenv("MYCO_E2E_BIN"); bin == "" {
		dir, err := os.MkdirTemp("", "mycoswarm-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		cmd := exec.Command("go", "build", "-o", dir+`\`, "./cmd/mycod", "./cmd/myco")
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
			return 1
		}
		bin = dir
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

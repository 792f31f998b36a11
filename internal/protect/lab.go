//go:build lab

package protect

import (
	"os"
	"slices"
	"strings"
)

var out = strings.Split(os.Getenv(Env), Separator)

// Off reports whether a test has taken p out.
func (p Protection) Off() bool { return slices.Contains(out, string(p)) }

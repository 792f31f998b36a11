package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Where what it prints is kept, as of a container, the recovery phrase is not among it.
func TestNoPhraseWhereTheOutputIsKept(t *testing.T) {
	for env, phrase := range map[string]bool{"": true, "1": false} {
		t.Setenv(envNoPhrase, env)
		t.Setenv(envNoContext, "1")
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		var said, log bytes.Buffer
		code := run(ctx, []string{
			"--data-dir", filepath.Join(t.TempDir(), "data"), "--no-mdns", "--no-demo-engine",
			"--bus-listen", "127.0.0.1:0", "--fabric-listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		}, streams{strings.NewReader(""), io.MultiWriter(&said, &until{"invite:", stop}), &log})
		shown, told := strings.Contains(said.String(), "Write down its recovery phrase"), strings.Contains(said.String(), "rotate --swarm shows one")
		if code != 0 || shown != phrase || told == phrase {
			t.Errorf("with %s=%q: exit code %d, it says:\n%s%s", envNoPhrase, env, code, said.String(), log.String())
		}
	}
}

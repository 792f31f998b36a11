package main

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A zero that was given is not taken for a flag that was left out: it is refused, with what is wanted.
func TestZeroIsNotTheDefault(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for args, want := range map[string]string{
		"ask --timeout 0s x":                    "--timeout 0s: want more than 0",
		"run --timeout 0s ping":                 "--timeout 0s: want more than 0",
		"search --timeout 0s x":                 "--timeout 0s: want more than 0",
		"research --timeout 0s x":               "--timeout 0s: want more than 0",
		"fetch --timeout 0s https://a.example":  "--timeout 0s: want more than 0",
		"ask --priority 0 x":                    "--priority 0: want 1 to 10",
		"bench -p 0":                            "--parallel 0: want 1 to 64",
		"search -n 0 x":                         "-n 0: want 1 to 50",
		"fetch --max-bytes 0 https://a.example": "--max-bytes 0: want 1 to 16777216",
		"load --keep-alive 0s m":                "--keep-alive 0s: want 1s or more",
		"key create --concurrent 0":             "--concurrent 0: want 1 or more",
	} {
		d.myco(strings.Fields(args)...).want(t, 2, want, "  try: ")
	}
}

// A variable of a script that is not set does not have a model deleted on all nodes, or this one drained.
func TestEmptyIsNotAnyNode(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for _, args := range []string{
		"rm a --node", "rm a --node=", "unload a --node", "pull a --node", "ask x --node", "run ping {} --node", "models --node", "drain", "ping", "revoke -y", "nodes promote",
	} {
		words := strings.Fields(args)
		if !strings.HasSuffix(args, "=") {
			words = append(words, "")
		}
		d.myco(words...).want(t, 2, "the name of the node is empty")
	}
	d.myco("models").want(t, 0)
	d.myco("bench", "--node", "").want(t, 3, `this swarm has no node ""`)
}

// A payload that is too long is not cut off somewhere, and then called no JSON.
func TestRunRefusesAPayloadThatIsTooLong(t *testing.T) {
	t.Parallel()
	d := setup(t)
	long := `"` + strings.Repeat("x", bus.MaxPayload) + `"`
	if o := d.mycoIn(t.Context(), long, "run", "shout", "-").want(t, 2, "the payload is over the limit of 268435456 bytes"); strings.Contains(o.err, "xxx") {
		t.Error("the payload is in the error")
	}
}

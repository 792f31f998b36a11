package lab

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Environment variables that change a run.
const (
	// EnvSeed is the seed to replay.
	EnvSeed = "LAB_SEED"
	// EnvSeconds is how long a run of chaos takes.
	EnvSeconds = "LAB_SECONDS"
	// EnvKills is how many kills a run of random kills makes.
	EnvKills = "LAB_KILLS"
)

// Seed returns the seed of a run: the one to replay, else fixed, else (where fixed is 0) a fresh
// one. When the test fails it prints the command that replays it.
func Seed(t testing.TB, fixed uint64) uint64 {
	t.Helper()
	seed := fixed
	if s := os.Getenv(EnvSeed); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s=%q is not a number", EnvSeed, s)
		}
	}
	if seed == 0 {
		var b [8]byte
		crand.Read(b[:])
		seed = binary.LittleEndian.Uint64(b[:]) >> 16
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d; to replay: %s", seed, Replay(t.Name(), seed))
		}
	})
	return seed
}

// Replay is the command that runs a test again with a seed.
func Replay(test string, seed uint64) string {
	return fmt.Sprintf("%s=%d go test -tags e2e -count=1 -v -run '^%s$' ./e2e", EnvSeed, seed, strings.ReplaceAll(test, "/", "$/^"))
}

// Rand returns the random numbers of one part of a run: parts do not disturb each other.
func Rand(seed, part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, part)) }

// Number returns the number in an environment variable, or def.
func Number(t testing.TB, env string, def int) int {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number above 0", env, s)
	}
	return n
}

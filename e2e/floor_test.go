//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// The rows of the frozen program that ratios are taken against: its median for one task of 64
// bytes whose result is stored, with the worker in another process than the queue, and with all
// but the client in one.
const (
	floorFar = "route(worker far) P1R 64B"
	floorOne = "1srv P1R 64B"
)

// floorSum is the SHA-256 of the frozen program: its Go files and go.mod and go.sum, in order of
// their names, each after its name and a line feed.
const floorSum = "76f64de1131627f60b1c683709e57ac3dafb79392632cead896776db3efeebf4"

// floor is the frozen program, built.
type floor struct{ program string }

func buildFloor(ctx context.Context, t *testing.T) floor {
	t.Helper()
	dir := filepath.Join("testdata", "floors")
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, f := range append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(sum, filepath.Base(f))
		sum.Write(b)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != floorSum {
		t.Fatalf("the frozen program was changed: its sum is %s", got)
	}
	f := floor{program: filepath.Join(t.TempDir(), "floors")}
	build := exec.CommandContext(ctx, "go", "build", "-o", f.program, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the frozen program: %v\n%s", err, out)
	}
	return f
}

// floorTries is how often one measurement is tried: once in ten runs or so the frozen program loses a
// task, and gives up.
const floorTries = 3

// measure runs `life lat` to its end, some 20 s, and returns the median of each row.
func (f floor) measure(ctx context.Context, t *testing.T) map[string]time.Duration {
	t.Helper()
	var r harness.Result
	for try := 1; ; try++ {
		r = harness.Run(ctx, t, t.TempDir(), append(os.Environ(), "PERF_DIR="+t.TempDir()), []string{f.program, "life", "lat"}, "")
		if r.Code == 0 {
			break
		}
		if try == floorTries || !strings.Contains(r.Stderr, "panic: no result") {
			t.Fatalf("%s", r)
		}
		t.Logf("the frozen program lost a task of its own, and is run again")
	}
	rows, err := floorRows(r.Stdout)
	if err != nil {
		t.Fatalf("%v\n%s", err, r)
	}
	return rows
}

// floorRows reads the table that the frozen program prints: the name of a case, how many times it
// ran in a round, and the medians over its rounds in microseconds, the 50th percentile first.
func floorRows(out string) (map[string]time.Duration, error) {
	rows := map[string]time.Duration{}
	for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
		const columns = 5 // n, p50, p90, p99, p50 min..max
		words := strings.Fields(s.Text())
		if len(words) <= columns || !strings.Contains(words[len(words)-1], "..") {
			continue
		}
		us, err := strconv.ParseFloat(words[len(words)-4], 64)
		if err != nil {
			continue // the head of the table
		}
		rows[strings.Join(words[:len(words)-columns], " ")] = time.Duration(us * float64(time.Microsecond))
	}
	for _, want := range []string{floorFar, floorOne} {
		if rows[want] <= 0 {
			return nil, fmt.Errorf("the frozen program's table has no row %q", want)
		}
	}
	return rows, nil
}

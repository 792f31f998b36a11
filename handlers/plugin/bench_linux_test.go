package plugin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// BenchmarkResult measures a task whose result is long, beside the floor: the same program, asked by who reads a line
// and decodes it. cpu-ms/op is this process's, and steadier than the time on a machine that does other things too.
func BenchmarkResult(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 60 << 20} {
		o := order{Do: "big", Size: size}
		payload, err := json.Marshal(o)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("plugin/%dKiB", size>>10), func(b *testing.B) {
			h := open(b, folder(b, ""))
			b.SetBytes(int64(size))
			defer cpu(b)()
			for b.Loop() {
				res, err := h.Handle(b.Context(), &bus.Task{ID: "t1", Type: "shout", Payload: payload}, nil)
				if raw, is := res.(json.RawMessage); err != nil || !is || len(raw) != size+2 {
					b.Fatalf("%d bytes, %v", len(raw), err)
				}
			}
		})
		b.Run(fmt.Sprintf("floor/%dKiB", size>>10), func(b *testing.B) {
			self, err := os.Executable()
			if err != nil {
				b.Fatal(err)
			}
			cmd := exec.CommandContext(context.Background(), self, "plugin") // it ends with its standard input
			in, err := cmd.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			r := bufio.NewReaderSize(out, 64<<10)
			b.SetBytes(int64(size))
			defer cpu(b)()
			for b.Loop() {
				if _, err := fmt.Fprintf(in, "{\"id\":\"t1\",\"payload\":%s}\n", payload); err != nil {
					b.Fatal(err)
				}
				said, err := r.ReadBytes('\n')
				var l struct{ Result json.RawMessage }
				if err == nil {
					err = json.Unmarshal(said, &l)
				}
				if err != nil || len(l.Result) != size+2 {
					b.Fatalf("%d bytes, %v", len(l.Result), err)
				}
			}
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// cpu returns what reports the processor time that this process takes until it is called.
func cpu(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Microseconds())/1e3/float64(b.N), "cpu-ms/op") }
}

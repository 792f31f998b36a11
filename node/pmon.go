package node

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// GPUProcess is a process that uses a GPU.
type GPUProcess struct {
	// GPU is the GPU's index.
	GPU  int    `json:"gpu"`
	PID  int    `json:"pid"`
	Name string `json:"name"` // of its program, which nvidia-smi cuts short
	// UtilizationPct is the share of a second in which it kept the GPU busy, 0 to 100; nil where the driver
	// does not tell.
	UtilizationPct *int `json:"utilization_pct"`
	// MemoryMB is its memory of the GPU, in MiB; 0 where the driver does not tell.
	MemoryMB int `json:"memory_mb"`
	// Engine tells that it is an inference engine, by its name.
	Engine bool `json:"engine"`
}

const (
	pmonLimit = 5 * time.Second // nvidia-smi takes one to look, and up to three to wake a driver
	pmonMost  = 256             // processes
)

// GPUProcesses lists what uses those of gpus that are NVIDIA's, the busiest first. It takes about a second. Where there
// is no nvidia-smi, or it does not tell, there are none.
func GPUProcesses(ctx context.Context, gpus []GPU) ([]GPUProcess, error) {
	return gpuProcesses(ctx, gpus, "nvidia-smi")
}

func gpuProcesses(ctx context.Context, gpus []GPU, program string) ([]GPUProcess, error) {
	at, err := exec.LookPath(program)
	nvidia := func(g GPU) bool { return g.DriverVersion != "" } // others' drivers tell none
	if err != nil || !slices.ContainsFunc(gpus, nvidia) {
		return nil, nil // no program, no GPU
	}
	ctx, cancel := context.WithTimeout(ctx, pmonLimit)
	defer cancel()
	out, err := run(ctx, at, "pmon", "-c", "1", "-s", "um")
	if err != nil {
		return nil, fmt.Errorf("ask nvidia-smi what uses the GPU: %w", err)
	}
	return ParsePmon(out), nil
}

// ParsePmon reads the table that `nvidia-smi pmon -s um` prints. Its columns differ between drivers: they
// are found by the names in its head. What is no line of a process is passed over.
func ParsePmon(out string) (list []GPUProcess) {
	var names []string
	for line := range strings.Lines(out) {
		head, isHead := strings.CutPrefix(strings.TrimSpace(line), "#")
		fields := strings.Fields(head)
		switch {
		case isHead && slices.Contains(fields, "pid"):
			names = fields
		case isHead || len(fields) < len(names):
		default:
			if p, ok := pmonLine(names, fields); ok && len(list) < pmonMost {
				list = append(list, p)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b GPUProcess) int {
		return cmp.Or(value(b.UtilizationPct)-value(a.UtilizationPct), b.MemoryMB-a.MemoryMB, a.PID-b.PID)
	})
	return list
}

// pmonLine reads the fields of one line. The last column is a name, which may have spaces.
func pmonLine(names, fields []string) (p GPUProcess, ok bool) {
	of := func(name string) string {
		if i := slices.Index(names, name); i >= 0 && i < len(names)-1 {
			return fields[i]
		}
		return ""
	}
	var err1, err2 error
	p.GPU, err1 = strconv.Atoi(of("gpu"))
	p.PID, err2 = strconv.Atoi(of("pid"))
	if err1 != nil || err2 != nil || p.GPU < 0 || p.PID <= 0 || len(names) == 0 {
		return p, false
	}
	p.Name = printable(strings.Join(fields[len(names)-1:], " "))
	p.UtilizationPct, _ = figure(of("sm")) // "-" is one that is not told
	memory, _ := figure(of("fb"))
	p.MemoryMB = value(memory)
	p.Engine = isEngine(p.Name)
	return p, true
}

// printable leaves out what a terminal obeys: whoever starts a program names it.
func printable(name string) string {
	return text(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name))
}

// engines are how the names of programs begin that run models.
var engines = []string{"ollama", "llama-server", "llama_server", "llama-box", "vllm", "mycod"}

func isEngine(program string) bool {
	name := strings.ToLower(path.Base(strings.ReplaceAll(program, `\`, "/")))
	return slices.ContainsFunc(engines, func(e string) bool { return strings.HasPrefix(name, e) })
}

//go:build unix

package node_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/node"
)

// program writes a shell script to stand for nvidia-smi.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nvidia-smi")
	// A child that another test starts meanwhile would hold the file open for writing until its exec, and nobody could
	// run it ("text file busy", golang.org/issue/22315).
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSMIAsksForCUDA(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"12.4": "| NVIDIA-SMI 550.54.14   Driver Version: 550.54.14   CUDA Version: 12.4     |",
		"13.0": "| NVIDIA-SMI 580.95   KMD Version: 580.95   CUDA UMD Version: 13.0     |",
		"":     "| NVIDIA-SMI 580.95   Driver Version: 580.95   CUDA Version: N/A     |",
	} {
		path := program(t, `case "$1" in --query*) echo "0, X, 8192, 0, 8192, 30, 0, 550.54.14";; *) echo '`+head+`';; esac`)
		gpus, err := node.NewSMI(path).GPUs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(gpus) != 1 || gpus[0].CUDAVersion != name || gpus[0].VRAMTotalMB != 8192 {
			t.Errorf("GPUs %+v, want one with CUDA %q", gpus, name)
		}
	}
}

func TestSMIThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := node.NewSMI(program(t, "exit 9")).GPUs(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestSMIThatHangsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	// The child of the script keeps the output open when the script is killed.
	src := node.NewSMI(program(t, "sleep 30\necho late"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := src.GPUs(ctx); err == nil {
		t.Error("no error")
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Of a program that says more than nvidia-smi ever does the beginning is kept, and nothing else.
func TestSMIThatSaysTooMuchIsCut(t *testing.T) {
	t.Parallel()
	path := program(t, `head -c 2000000 /dev/zero | tr '\0' '\n'; echo "0, X, 8192, 0, 8192, 30, 0, 550.54.14"`)
	if gpus, err := node.NewSMI(path).GPUs(t.Context()); err != nil || len(gpus) != 0 {
		t.Errorf("%+v, %v, want what comes after two megabytes left out", gpus, err)
	}
}

func TestGPUProcesses(t *testing.T) {
	t.Parallel()
	path := program(t, `[ "$*" = "pmon -c 1 -s um" ] && printf '# gpu pid type sm fb command\n 0 12 C 34 56 game\n'`)
	gpus := []node.GPU{{Name: "AMD Radeon RX 580 Series"}, {Name: "X", DriverVersion: "550.54.14"}}
	got, err := node.GPUProcessesOf(t.Context(), gpus, path)
	if err != nil || len(got) != 1 || got[0].PID != 12 || got[0].Name != "game" || got[0].MemoryMB != 56 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := node.GPUProcessesOf(t.Context(), gpus, path+"-missing"); err != nil || len(got) != 0 {
		t.Errorf("without the program: %+v, %v", got, err)
	}
	if _, err := node.GPUProcessesOf(t.Context(), gpus, program(t, "exit 9")); err == nil {
		t.Error("one that fails: no error")
	}
	if got, err := node.GPUProcessesOf(t.Context(), gpus[:1], program(t, "exit 9")); err != nil || len(got) != 0 {
		t.Errorf("without a GPU of NVIDIA's: %+v, %v", got, err)
	}
}

package node_test

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/node"
)

func TestParseSMI(t *testing.T) {
	t.Parallel()
	rtx := node.GPU{
		Index: 0, Name: "NVIDIA GeForce RTX 3090", VRAMTotalMB: 24576, VRAMUsedMB: 512, VRAMFreeMB: 24064,
		TemperatureC: new(41), UtilizationPct: new(7), DriverVersion: "550.54.14",
	}
	const line = "0, NVIDIA GeForce RTX 3090, 24576, 512, 24064, 41, 7, 550.54.14\n"
	for _, c := range []struct {
		name, out string
		want      []node.GPU
		err       bool
	}{
		{"one", line, []node.GPU{rtx}, false},
		{"Windows line ends", strings.ReplaceAll(line, "\n", "\r\n"), []node.GPU{rtx}, false},
		{"no last line end", strings.TrimSpace(line), []node.GPU{rtx}, false},
		{"several", line + "1, NVIDIA GeForce RTX 3060, 12288, 0, 12288, 30, 0, 550.54.14\n", []node.GPU{rtx, {
			Index: 1, Name: "NVIDIA GeForce RTX 3060", VRAMTotalMB: 12288, VRAMFreeMB: 12288,
			TemperatureC: new(30), UtilizationPct: new(0), DriverVersion: "550.54.14",
		}}, false},
		{"not available", "0, NVIDIA GB10, [N/A], [N/A], [N/A], 39, [N/A], 580.95.05\n", []node.GPU{{
			Name: "NVIDIA GB10", TemperatureC: new(39), DriverVersion: "580.95.05",
		}}, false},
		{"not supported", "0, Quadro 600, 963, 100, 863, [Not Supported], [Not Supported], 390.157\n", []node.GPU{{
			Name: "Quadro 600", VRAMTotalMB: 963, VRAMUsedMB: 100, VRAMFreeMB: 863, DriverVersion: "390.157",
		}}, false},
		{"no brackets", "0, X, 8192, N/A, N/A, N/A, N/A, N/A\n", []node.GPU{{Name: "X", VRAMTotalMB: 8192}}, false},
		{"unknown error", "0, X, 8192, [Unknown Error], 1, 2, [GPU requires reset], 1.0\n", []node.GPU{{
			Name: "X", VRAMTotalMB: 8192, VRAMFreeMB: 1, TemperatureC: new(2), DriverVersion: "1.0",
		}}, false},
		{"comma in the name", "0, A, B, 1, 2, 3, 4, 5, 6\n", []node.GPU{{
			Name: "A, B", VRAMTotalMB: 1, VRAMUsedMB: 2, VRAMFreeMB: 3, TemperatureC: new(4), UtilizationPct: new(5), DriverVersion: "6",
		}}, false},
		{"a warning before", "WARNING: infoROM is corrupted\n" + line, []node.GPU{rtx}, false},
		{"one bad line of two", "1, X, lots, 0, 0, 0, 0, 1\n" + line, []node.GPU{rtx}, false},
		{"empty", "", nil, false},
		{"blank", "\n \n", nil, false},
		{"no devices", "No devices were found\n", nil, false},
		{"garbage", "NVIDIA-SMI has failed because it couldn't communicate\n", nil, true},
		{"negative", "0, X, -1, 0, 0, 0, 0, 1\n", nil, true},
		{"huge", "0, X, 99999999999999999999, 0, 0, 0, 0, 1\n", nil, true},
		{"index is no number", "a, X, 1, 0, 0, 0, 0, 1\n", nil, true},
		{"too few", "0, X, 1\n", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := node.ParseSMI(c.out)
			if (err != nil) != c.err {
				t.Fatalf("error %v, want one: %t", err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("GPUs (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseSMI(f *testing.F) {
	f.Add("0, NVIDIA GeForce RTX 3090, 24576, 512, 24064, 41, 7, 550.54.14\n")
	f.Add("0, X, [N/A], [Not Supported], N/A, [], [[]], \xff\n1,,,,,,,\n")
	f.Add("No devices were found")
	f.Add("# gpu pid type sm fb command\n0 1 C 5 6 a b\n0 - - - - -\n# pid\n7 8 9\n")
	f.Fuzz(func(t *testing.T, out string) {
		for _, p := range node.ParsePmon(out) {
			if p.PID <= 0 || p.GPU < 0 || p.MemoryMB < 0 || !utf8.ValidString(p.Name) || len(p.Name) > 128 {
				t.Errorf("process %+v", p)
			}
		}
		gpus, err := node.ParseSMI(out)
		if err != nil && len(gpus) > 0 {
			t.Error("both GPUs and an error")
		}
		if len(gpus) > 64 {
			t.Errorf("%d GPUs", len(gpus))
		}
		for _, g := range gpus {
			if g.Index < 0 || g.VRAMTotalMB < 0 || g.VRAMUsedMB < 0 || g.VRAMFreeMB < 0 {
				t.Errorf("negative figure in %+v", g)
			}
			if !utf8.ValidString(g.Name) || len(g.Name) > 128 || len(g.DriverVersion) > 128 {
				t.Errorf("name %q, driver %q", g.Name, g.DriverVersion)
			}
		}
	})
}

func TestNoSMIIsNotAnError(t *testing.T) {
	t.Parallel()
	gpus, err := node.NewSMI(filepath.Join(t.TempDir(), "nvidia-smi")).GPUs(t.Context())
	if err != nil || len(gpus) != 0 {
		t.Errorf("GPUs %v, error %v", gpus, err)
	}
}

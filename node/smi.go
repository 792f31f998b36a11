package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	smiQuery    = "index,name,memory.total,memory.used,memory.free,temperature.gpu,utilization.gpu,driver_version"
	smiFields   = 8
	smiMaxBytes = 1 << 20
	maxGPUs     = 64  // of a vendor
	maxText     = 128 // bytes of a name or version
)

// smi reads NVIDIA GPUs from the program nvidia-smi, which comes with the driver.
type smi struct {
	program string
	cuda    string // asked for once, as it takes a run of its own
}

// NewSMI returns a source that runs program, "nvidia-smi" if empty. It is asked by one
// goroutine at a time.
func NewSMI(program string) GPUSource {
	if program == "" {
		program = "nvidia-smi"
	}
	return &smi{program: program}
}

// Name implements GPUSource.
func (s *smi) Name() string { return "nvidia-smi" }

// Every implements GPUSource. A run wakes the driver, which takes up to a second where
// persistence mode is off.
func (s *smi) Every() time.Duration { return 10 * time.Second }

// GPUs implements GPUSource. A machine without the program has no GPU of this kind.
func (s *smi) GPUs(ctx context.Context) ([]GPU, error) {
	path, err := exec.LookPath(s.program)
	if err != nil {
		return nil, nil //nolint:nilerr // no program, no GPU
	}
	out, err := run(ctx, path, "--query-gpu="+smiQuery, "--format=csv,noheader,nounits")
	if err != nil {
		return nil, fmt.Errorf("ask nvidia-smi: %w", err)
	}
	gpus, err := ParseSMI(out)
	if err != nil {
		return nil, fmt.Errorf("read the answer of nvidia-smi: %w", err)
	}
	if s.cuda == "" && len(gpus) > 0 {
		if out, err := run(ctx, path); err == nil {
			s.cuda = parseCUDA(out)
		}
	}
	for i := range gpus {
		gpus[i].CUDAVersion = s.cuda
	}
	return gpus, nil
}

// run returns what a program prints, smiMaxBytes at most. It ends with ctx even if a child
// of the program holds its output open.
func run(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = 500 * time.Millisecond
	out := &capped{left: smiMaxBytes}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return "", err
	}
	return out.kept.String(), nil
}

// capped keeps the first bytes that are written to it.
type capped struct {
	kept bytes.Buffer // not embedded: io.Copy would find its ReadFrom, and keep all
	left int
}

// Write implements io.Writer; it takes everything and keeps what fits.
func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	c.kept.Write(p[:n])
	return len(p), nil
}

// ParseSMI reads the CSV that nvidia-smi prints for index, name, memory total, used and free
// (MiB), temperature, utilisation and driver version, without header and units. Figures that
// the driver does not tell ("[N/A]", "[Not Supported]") are 0 or nil. Lines of another form
// are passed over; it is an error if there is no other, and 64 GPUs are read at most.
func ParseSMI(out string) ([]GPU, error) {
	var gpus []GPU
	strange := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		gpu, ok := parseSMILine(line)
		if !ok {
			strange = line
			continue
		}
		if gpus = append(gpus, gpu); len(gpus) == maxGPUs {
			return gpus, nil
		}
	}
	if len(gpus) == 0 && strange != "" && !strings.Contains(strange, "No devices were found") {
		return nil, fmt.Errorf("not a line of GPU figures: %.80q", strange)
	}
	return gpus, nil
}

func parseSMILine(line string) (GPU, bool) {
	parts := strings.Split(line, ",")
	if len(parts) < smiFields {
		return GPU{}, false
	}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	index, err := strconv.Atoi(parts[0])
	if err != nil || index < 0 {
		return GPU{}, false
	}
	// Nothing is quoted: a comma too many belongs to the name.
	tail := parts[len(parts)-(smiFields-2):]
	gpu := GPU{
		Index:         index,
		Name:          text(strings.Join(parts[1:len(parts)-len(tail)], ", ")),
		DriverVersion: text(known(tail[5])),
	}
	var bad error
	number := func(s string) *int {
		n, err := figure(s)
		bad = errors.Join(bad, err)
		return n
	}
	gpu.VRAMTotalMB = value(number(tail[0]))
	gpu.VRAMUsedMB = value(number(tail[1]))
	gpu.VRAMFreeMB = value(number(tail[2]))
	gpu.TemperatureC = number(tail[3])
	gpu.UtilizationPct = number(tail[4])
	return gpu, bad == nil
}

// figure reads a number; nil is one that the driver does not tell.
func figure(s string) (*int, error) {
	if known(s) == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("not a figure: %.20q", s)
	}
	i := int(n)
	return &i, nil
}

// known returns s, or "" where it stands for something that the driver does not tell:
// "[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "[GPU requires reset]".
func known(s string) string {
	if s == "N/A" || strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return ""
	}
	return s
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// text makes s fit to be kept: valid, and not longer than maxText bytes.
func text(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}

// cudaVersion is in the head that a plain nvidia-smi prints; newer drivers say "CUDA UMD
// Version".
var cudaVersion = regexp.MustCompile(`CUDA (?:UMD )?Version\s*:\s*([0-9]{1,4}\.[0-9]{1,4})`)

func parseCUDA(out string) string {
	m := cudaVersion.FindStringSubmatch(out)
	if m == nil {
		return ""
	}
	return m[1]
}

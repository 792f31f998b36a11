package node_test

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/node"
)

func TestAppleGPU(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, c := range []struct {
		chip   string
		memory uint64
		limit  uint32
		shared int
		tier   node.GPUTier
	}{
		// The first four as Metal tells it: 11453.25, 22906.50, 28991.03 and 51539.61 million bytes.
		{"Apple M1 Pro", 16 * gib, 0, 10922, node.GPUMid},
		{"Apple M1 Pro", 32 * gib, 0, 21845, node.GPUUltra},
		{"Apple M3 Pro", 36 * gib, 0, 27648, node.GPUUltra},
		{"Apple M2 Max", 64 * gib, 0, 49152, node.GPUUltra},
		{"Apple M1", 8 * gib, 0, 5461, node.GPUEntry},
		{"Apple M4", 24 * gib, 20480, 20480, node.GPUUltra},
		{"Apple M4", 24 * gib, 4294967295, 24576, node.GPUUltra},
		{"Apple M1 (Virtual)", 7 * gib, 0, 0, node.GPUNone},
		{"VirtualApple @ 2.50GHz processor", 16 * gib, 0, 0, node.GPUNone},
		{"Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", 16 * gib, 0, 0, node.GPUNone},
	} {
		p := node.Profile{GPUs: node.AppleGPU(c.chip, c.memory, c.limit), Memory: node.Memory{TotalMB: int(c.memory >> 20)}}
		if p.GPUTier() != c.tier || len(p.GPUs) > 1 || len(p.GPUs) == 1 && (p.GPUs[0].SharedMB != c.shared || p.GPUs[0].Name != c.chip) ||
			len(p.GPUs) == 0 && c.shared > 0 {
			t.Errorf("%s of %d GiB: %+v, %s; want %d MiB, %s", c.chip, c.memory/gib, p.GPUs, p.GPUTier(), c.shared, c.tier)
		}
	}
}

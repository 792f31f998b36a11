package node_test

import (
	"slices"
	"testing"

	"github.com/mycoswarm/mycoswarm/node"
)

func withVRAM(mb ...int) node.Profile {
	var p node.Profile
	for i, m := range mb {
		p.GPUs = append(p.GPUs, node.GPU{Index: i, VRAMTotalMB: m})
	}
	return p
}

func TestTiersFollowTheVRAMOfTheBestGPU(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		vram  []int
		cores int
		gpu   node.GPUTier
		tier  node.Tier
	}{
		{"3090", []int{24576}, 16, node.GPUUltra, node.Executive},
		{"just ultra", []int{20000}, 1, node.GPUUltra, node.Executive},
		{"just not ultra", []int{19999}, 16, node.GPUHigh, node.Specialist},
		{"just high", []int{14000}, 16, node.GPUHigh, node.Specialist},
		{"3060", []int{12288}, 16, node.GPUMid, node.Specialist},
		{"just not high", []int{13999}, 16, node.GPUMid, node.Specialist},
		{"just mid", []int{7000}, 16, node.GPUMid, node.Specialist},
		{"just not mid", []int{6999}, 16, node.GPUEntry, node.Worker},
		{"just entry", []int{3500}, 16, node.GPUEntry, node.Worker},
		{"too small, many cores", []int{3499}, 4, node.GPUNone, node.Light},
		{"too small, few cores", []int{3499}, 3, node.GPUNone, node.Edge},
		{"unknown VRAM", []int{0}, 20, node.GPUNone, node.Light},
		{"none, 4 cores", nil, 4, node.GPUNone, node.Light},
		{"none, 3 cores", nil, 3, node.GPUNone, node.Edge},
		{"nothing known", nil, 0, node.GPUNone, node.Edge},
		{"two, the second better", []int{4096, 24576}, 8, node.GPUUltra, node.Executive},
		{"two do not add up to a tier", []int{12288, 12288}, 8, node.GPUMid, node.Specialist},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := withVRAM(c.vram...)
			p.CPU.CoresLogical = c.cores
			if got := p.GPUTier(); got != c.gpu {
				t.Errorf("GPU tier %q, want %q", got, c.gpu)
			}
			if got := p.Tier(); got != c.tier {
				t.Errorf("tier %q, want %q", got, c.tier)
			}
		})
	}
}

func TestLargestModelFitsTheVRAM(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		vram []int
		want float64
	}{
		{[]int{24576}, 38.5},
		{[]int{12288}, 18.0},
		{[]int{8192}, 11.2},
		{[]int{3500}, 3.3},
		{[]int{3499}, 0},
		{[]int{0}, 0},
		{nil, 0},
		{[]int{24576, 12288}, 56.5},
		{[]int{24576, 2048}, 38.5},
	} {
		if got := withVRAM(c.vram...).LargestModel(); got != c.want {
			t.Errorf("largest model for %v MB: %v, want %v", c.vram, got, c.want)
		}
	}
}

// What shares the machine's memory has all of it: its driver tells of none, as NVIDIA's of a DGX Spark and of Jetsons.
func TestTiersOfGPUsThatShareMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		memory  int
		gpu     node.GPUTier
		tier    node.Tier
		largest float64
	}{
		{"NVIDIA GB10", 124608, node.GPUUltra, node.Executive, 205.2},
		{"Orin (nvgpu)", 7620, node.GPUMid, node.Specialist, 10.2},
		{"NVIDIA Thor", 125772, node.GPUUltra, node.Executive, 207.1},
		{"Quadro NVS 295", 65536, node.GPUNone, node.Light, 0},
		{"", 65536, node.GPUNone, node.Light, 0},
	} {
		gpus, err := node.ParseSMI("0, " + c.name + ", [N/A], [N/A], [N/A], 39, [N/A], 580.95.05\n")
		if err != nil {
			t.Fatal(err)
		}
		p := node.Profile{GPUs: gpus, Memory: node.Memory{TotalMB: c.memory}, CPU: node.CPU{CoresLogical: 20}}
		inference := slices.Contains(node.Capabilities(p, true), node.CapGPUInference)
		if p.GPUTier() != c.gpu || p.Tier() != c.tier || p.LargestModel() != c.largest || inference != (c.gpu != node.GPUNone) {
			t.Errorf("%q: %s, %s, %v, inference %t", c.name, p.GPUTier(), p.Tier(), p.LargestModel(), inference)
		}
	}
}

func TestRecommendedModelsAreACopy(t *testing.T) {
	t.Parallel()
	first := node.RecommendedModels(node.GPUUltra)
	if !slices.Contains(first, "qwen2.5:32b") {
		t.Fatalf("recommended for ultra: %v", first)
	}
	first[0] = "changed"
	if slices.Contains(node.RecommendedModels(node.GPUUltra), "changed") {
		t.Error("a caller can change the table")
	}
	if got := node.RecommendedModels(node.GPUNone); len(got) != 0 {
		t.Errorf("recommended without a GPU: %v", got)
	}
}

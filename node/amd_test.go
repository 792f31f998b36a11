package node_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/node"
)

// FuzzAMD has the files of a card say anything.
func FuzzAMD(f *testing.F) {
	f.Add("0x67df", "0xe7", "11", "4294967296", "536870912", "44000", "67DF,\tE7,\tAMD Radeon RX 580 Series\n", "1002  AMD\n\t67df  Ellesmere\n")
	f.Add("0x1586", "0xd1", "", "18446744073709551616", "-1", "-5000", "1586,D1", "1002\n\t1586\n\t\t1586  x\n")
	f.Add("", "", "101", "18446744073709551615", "x", "\xff", ",,\x1b[31m\n", "1002 \n\t \xff\xfe\n")
	f.Fuzz(func(t *testing.T, device, revision, busy, total, used, temperature, boards, chips string) {
		const dir = "sys/class/drm/card0/device/"
		tree := fstest.MapFS{dir + "vendor": {Data: []byte("0x1002\n")}}
		for name, text := range map[string]string{
			dir + "device": device, dir + "revision": revision, dir + "gpu_busy_percent": busy, dir + "mem_info_vram_total": total,
			dir + "mem_info_vram_used": used, dir + "mem_info_gtt_total": used, dir + "hwmon/hwmon0/temp1_input": temperature,
			"usr/share/libdrm/amdgpu.ids": boards, "usr/share/misc/pci.ids": chips,
		} {
			tree[name] = &fstest.MapFile{Data: []byte(text)}
		}
		gpus, err := node.NewAMD(tree).GPUs(t.Context())
		if err != nil || len(gpus) != 1 {
			t.Fatalf("%d GPUs, %v", len(gpus), err)
		}
		g := gpus[0]
		if g.VRAMTotalMB < 0 || g.VRAMUsedMB < 0 || g.VRAMFreeMB < 0 || g.VRAMFreeMB > g.VRAMTotalMB || g.SharedMB < 0 {
			t.Errorf("memory in %+v", g)
		}
		if u := g.UtilizationPct; u != nil && (*u < 0 || *u > 100) {
			t.Errorf("utilisation %d", *u)
		}
		if g.Name == "" || len(g.Name) > 128 || !utf8.ValidString(g.Name) || strings.ContainsAny(g.Name, "\x1b\n") {
			t.Errorf("name %q", g.Name)
		}
	})
}

package node_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/node"
)

func TestParsePmon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, out string
		want      []node.GPUProcess
	}{
		{
			"a driver of today", "# gpu         pid   type     sm    mem    enc    dec    jpg    ofa     fb   ccpm    command \n" +
				"# Idx           #    C/G      %      %      %      %      %      %     MB     MB    name \n" +
				"    0       1312     G      4      3      -      -      -      -     97      0    Xorg           \n" +
				"    0       2635     C     85     40      -      -      -      -   9120      0    ollama_llama_se\n" +
				"    0       1941   C+G     24      1      -      -      -      -   1205      0    Some Game.exe  \n" +
				"    0       1950     C      -      -      -      -      -      -    410      0    python         \n",
			[]node.GPUProcess{
				{PID: 2635, Name: "ollama_llama_se", UtilizationPct: new(85), MemoryMB: 9120, Engine: true},
				{PID: 1941, Name: "Some Game.exe", UtilizationPct: new(24), MemoryMB: 1205},
				{PID: 1312, Name: "Xorg", UtilizationPct: new(4), MemoryMB: 97},
				{PID: 1950, Name: "python", MemoryMB: 410},
			},
		},
		{
			"an older one, with two GPUs", "# gpu        pid  type    sm   mem   enc   dec    fb   command\r\n" +
				"# Idx          #   C/G     %     %     %     %    MB   name\r\n" +
				"    0          -     -     -     -     -     -     -   -\r\n" +
				"    1       7372     C     2     0     2     -   136   ffmpeg\r\n",
			[]node.GPUProcess{{GPU: 1, PID: 7372, Name: "ffmpeg", UtilizationPct: new(2), MemoryMB: 136}},
		},
		{
			"without memory", "# gpu        pid  type    sm   mem   enc   dec   command\n    0      22010     C    98    56     -     -   vllm\n",
			[]node.GPUProcess{{PID: 22010, Name: "vllm", UtilizationPct: new(98), Engine: true}},
		},
		{
			"nothing runs, and the name is missing", "# gpu         pid   type     sm    mem    enc    dec    jpg    ofa     fb   ccpm    command \n" +
				"    0          -     -      -      -      -      -      -      -      -      -                 \n",
			nil,
		},
		{"a GPU that does not tell", "Not supported on the device(s)\nFailed to process command line.\n", nil},
		{"lines without a head", "    0       1312     G      4      3      -      -      -      -     97      0    Xorg\n", nil},
		{"strange figures", "# gpu pid type sm command\n 0 x C 5 a\n -1 7 C 5 b\n 0 -7 C 5 c\n 0 8 C -5 d\n", []node.GPUProcess{{PID: 8, Name: "d"}}},
		{"a name that steers a terminal", "# gpu pid type sm command\n 0 8 C 5 a\x1b[2J\u009b1mb\n", []node.GPUProcess{{PID: 8, Name: "a[2J1mb", UtilizationPct: new(5)}}},
		{"empty", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, node.ParsePmon(c.out)); diff != "" {
				t.Errorf("processes (-want +got):\n%s", diff)
			}
		})
	}
}

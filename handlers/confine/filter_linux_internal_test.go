//go:build linux

package confine

import (
	"encoding/binary"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A filter that knows a processor's calls lets those of its 32-bit mode pass, which have other numbers.
func TestOtherProcessorsPrograms(t *testing.T) {
	vm, err := bpf.NewVM(onlyOf(unix.AUDIT_ARCH_X86_64))
	if err != nil {
		t.Fatal(err)
	}
	for arch, want := range map[uint32]uint32{
		unix.AUDIT_ARCH_X86_64: unix.SECCOMP_RET_ALLOW,
		unix.AUDIT_ARCH_I386:   unix.SECCOMP_RET_KILL_PROCESS,
	} {
		data := make([]byte, 64) // struct seccomp_data, in the order of bytes that the machine here has
		binary.BigEndian.PutUint32(data[4:], arch)
		got, err := vm.Run(data)
		if err != nil || uint32(got) != want { //nolint:gosec // an action
			t.Errorf("a call of %#x: %#x, %v, want %#x", arch, uint32(got), err, want) //nolint:gosec // as above
		}
	}
}

// What an older Landlock leaves alone, the filter refuses, which no test can see on a newer kernel.
func TestOlderLandlock(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	const self, other = 100, 200
	for _, c := range []struct {
		name   string
		abi    int
		call   string
		args   [3]uint32
		refuse bool
	}{
		{"a signal to another process", 5, "kill", [3]uint32{other, uint32(unix.SIGTERM)}, true},
		{"a signal to its own process", 5, "kill", [3]uint32{self, uint32(unix.SIGTERM)}, false},
		{"a signal to its own group", 5, "kill", [3]uint32{0, uint32(unix.SIGTERM)}, false},
		{"a signal to a thread", 5, "tgkill", [3]uint32{other, other}, true},
		{"a signal that Landlock looks after", 6, "kill", [3]uint32{other}, false},
		{"to cut a file short", 2, "truncate", [3]uint32{}, true},
		{"to cut a file short that it reads", 2, "openat", [3]uint32{0, 0, unix.O_TRUNC}, true},
		{"to write a file anew", 2, "openat", [3]uint32{0, 0, unix.O_TRUNC | unix.O_WRONLY}, false},
		{"to cut what Landlock looks after", 3, "truncate", [3]uint32{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := calls(Policy{Processes: true}, info, self, c.abi)
			rules, err := p.Assemble()
			if err != nil {
				t.Fatal(err)
			}
			vm, err := bpf.NewVM(rules)
			if err != nil {
				t.Fatal(err)
			}
			data := make([]byte, 64)                                            // struct seccomp_data; of a processor whose lower halves come first
			binary.BigEndian.PutUint32(data, uint32(info.SyscallNames[c.call])) //nolint:gosec // a number of a call
			binary.BigEndian.PutUint32(data[4:], uint32(info.ID))
			for i, arg := range c.args {
				binary.BigEndian.PutUint32(data[16+8*i:], arg)
			}
			got, err := vm.Run(data)
			if refused := uint32(got) != unix.SECCOMP_RET_ALLOW; err != nil || refused != c.refuse { //nolint:gosec // an action
				t.Errorf("%#x, %v, want refused: %v", got, err, c.refuse)
			}
		})
	}
}

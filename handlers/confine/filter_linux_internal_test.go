//go:build linux

package confine

import (
	"encoding/binary"
	"testing"

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

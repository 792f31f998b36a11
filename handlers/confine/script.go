package confine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Unstarted tells more of why program did not start. Of a script the kernel says what is wrong with the program that its
// first line names, without that name.
func Unstarted(program string, err error) error {
	f, none := os.Open(program)
	if none != nil {
		return err
	}
	defer f.Close()
	begin := make([]byte, 256) // the kernel reads no more of that line
	n, _ := io.ReadFull(f, begin)
	line, _, _ := strings.Cut(string(begin[:n]), "\n")
	if by, is := strings.CutPrefix(line, "#!"); is {
		return fmt.Errorf("%w: its first line has it run by %q", err, strings.TrimLeft(by, " \t"))
	}
	if errors.Is(err, syscall.ENOEXEC) {
		return fmt.Errorf("%w: it is no program of this system, nor a script, whose first line is one such as #!/bin/sh", err)
	}
	return err
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// confirm has the person at the terminal agree to what cannot be undone, unless the command line did:
// again is how it does. A script is not taken for a person who said yes.
func (a *app) confirm(yes bool, question, again string) error {
	if yes {
		return nil
	}
	if !a.interactive {
		return bus.Errorf(bus.CodeInvalid, "nothing was changed: this cannot be undone, and there is no terminal to ask at").WithHint("%s", again)
	}
	fmt.Fprint(a.err, question+" [y/N] ")
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return bus.Errorf(bus.CodeFailed, "nothing was changed").WithHint("%s", again)
	}
	return nil
}

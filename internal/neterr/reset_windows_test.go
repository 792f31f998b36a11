package neterr_test

import (
	"net"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/mycoswarm/mycoswarm/internal/neterr"
)

var wsaReset error = windows.WSAECONNRESET

// TestPortsKeptByTheSystem has what net.Listen says of a port that Windows has set aside.
func TestPortsKeptByTheSystem(t *testing.T) {
	t.Parallel()
	if !neterr.InUse(&net.OpError{Op: "listen", Err: windows.WSAEACCES}) {
		t.Error("the next port is not tried")
	}
}

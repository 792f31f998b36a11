package fabrictest

import (
	"io"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// Busy is Server on a machine that is so busy that it answers late: by more than a client waits that does not know.
type Busy struct{ Server nats.InProcessConnProvider }

// InProcessConn implements nats.InProcessConnProvider.
func (b Busy) InProcessConn() (net.Conn, error) {
	c, err := b.Server.InProcessConn()
	if err != nil {
		return nil, err
	}
	here, there := net.Pipe()
	time.AfterFunc(nats.DefaultTimeout+500*time.Millisecond, func() {
		go carry(c, there)
		go carry(there, c)
	})
	return here, nil
}

// carry ends with the connections, and ends them.
func carry(to, from net.Conn) {
	defer to.Close()
	_, _ = io.Copy(to, from)
}

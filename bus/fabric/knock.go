package fabric

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/neterr"
)

// knockLimit is how long Knock takes at most.
const knockLimit = 2 * time.Second

// quiet is how long a route listener is given to refuse a key after the handshake: in TLS 1.3
// the client is done before the server has looked at its certificate.
const quiet = 300 * time.Millisecond

// What Knock met; its errors wrap one of them, or what the handshake of cfg returned.
var (
	ErrRefused  = errors.New("the connection is refused: nothing listens there")
	ErrSilent   = errors.New("nothing answers in time: the machine is away, or a firewall drops the connection")
	ErrMute     = errors.New("it takes connections, and then nothing comes")
	ErrNoRoute  = errors.New("no way leads there")
	ErrNoFabric = errors.New("what listens there takes no routes")
	ErrTurned   = errors.New("the other side does not let this node in")
)

// Knock dials a route listener as a route does, up to the end of the TLS handshake with cfg,
// and hangs up. It returns nil where a route would be let in.
func Knock(ctx context.Context, addr string, cfg *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, knockLimit)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (%w)", dialed(err), err)
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrMute, err)
		}
		var record tls.RecordHeaderError
		if errors.As(err, &record) || errors.Is(err, io.EOF) || neterr.Reset(err) {
			return fmt.Errorf("%w: %w", ErrNoFabric, err)
		}
		return fmt.Errorf("handshake: %w", err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(quiet)) // of an open connection
	switch _, err := io.ReadFull(conn, make([]byte, 1)); {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	default:
		return fmt.Errorf("%w: %w", ErrTurned, err)
	}
}

// dialed tells what a failure to connect means.
func dialed(err error) error {
	var timeout interface{ Timeout() bool }
	switch {
	case neterr.Refused(err):
		return ErrRefused
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ErrSilent
	}
	return ErrNoRoute
}

package daemon

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// Flags of HTTPS.
const (
	httpsFlag   = "--https-listen"
	tlsCertFlag = "--tls-cert"
	tlsKeyFlag  = "--tls-key"
)

// Of a certificate's files.
const (
	rereadCertificate = 30 * time.Second
	maxPEM            = 1 << 20 // bytes
)

// listenTLS takes the address of HTTPS, if it is asked for.
func (d *Daemon) listenTLS(ctx context.Context, up *lifeline) error {
	if d.cfg.HTTPSListen == "" {
		return nil
	}
	d.cert = &certificate{files: [2]string{d.cfg.TLSCert, cmp.Or(d.cfg.TLSKey, d.cfg.TLSCert)}, log: d.log}
	if err := d.cert.read(); err != nil {
		return bus.Errorf(bus.CodeInvalid, "%s %s: %w", tlsCertFlag, d.cfg.TLSCert, err).
			WithHint("it is the file of a certificate with its chain, in PEM, and --tls-key that of its key, readable by the user of mycod; docs/install.md tells how to get one")
	}
	ln, err := listen(ctx, d.log, httpsFlag, d.cfg.HTTPSListen, "")
	if err != nil {
		return err
	}
	up.later(func() { _ = ln.Close() }) // the server has, mostly
	// HTTP/1.1 alone, as where nothing is encrypted: what is refused early, and who has left, is told by connections.
	d.https = tls.NewListener(ln, &tls.Config{GetCertificate: d.cert.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	up.run(ctx, "read the certificate again", d.cert.run)
	return nil
}

// httpsAddr is where HTTPS is reached: by a name that the certificate is for, if there is one, so that clients believe it. Where
// others reach it that is one of this machine that they can have, since with a certificate of localhost they would look at themselves.
func (d *Daemon) httpsAddr() string {
	addr := d.https.Addr().String()
	at := d.addrsOf(addr)[0]
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		return at
	}
	for _, name := range slices.Concat(d.cert.names(), d.cfg.HTTPHosts) {
		if !strings.HasPrefix(name, "*") && d.cert.covers(name) && (!forOthers(addr) || !ofLoopback(name)) {
			return net.JoinHostPort(name, port)
		}
	}
	return at
}

// ofLoopback reports whether a name is that of whichever machine looks it up.
func ofLoopback(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return name == "localhost" || name == "localhost.localdomain" || strings.HasSuffix(name, ".localhost")
}

// certificate is the owner's, of this node's HTTPS. It is read again, as it is renewed while the daemon runs.
type certificate struct {
	files [2]string // in PEM: the certificate with its chain, and its key; one file may have both
	log   *slog.Logger

	said [2][]byte            // what the files had when they were read last
	told bus.CertificateState // how it stood when that was logged last; empty for one that is new
	held atomic.Pointer[tls.Certificate]

	mu      sync.Mutex
	failed  string // why the files cannot be read again; empty where they can
	openKey string // what every user of the machine can do with the key's file: read, change; empty for nothing
}

// get implements the GetCertificate of a tls.Config.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.held.Load(), nil }

// names are those that the certificate is for. A nil one has none.
func (c *certificate) names() []string {
	if c == nil {
		return nil
	}
	leaf := c.held.Load().Leaf
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// covers reports whether clients believe the certificate where they look for a name. A nil one is for none.
func (c *certificate) covers(name string) bool {
	return c != nil && c.held.Load().Leaf.VerifyHostname(name) == nil
}

// run reads the files again from time to time, until ctx ends. The certificate before serves while they are of no use.
func (c *certificate) run(ctx context.Context) error {
	again := time.NewTicker(rereadCertificate)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		c.fails(c.read())
		c.tell(time.Now())
	}
}

// fails notes why the files cannot be read again, or that they can, and logs what is new.
func (c *certificate) fails(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	c.mu.Lock()
	before := c.failed
	c.failed = why
	c.mu.Unlock()
	if why != "" && why != before {
		c.log.Warn("the certificate of HTTPS cannot be read again, and the one before stays", "flag", tlsCertFlag, "err", err)
	}
}

// read takes what the files have, if it is new.
func (c *certificate) read() error {
	var said [2][]byte
	for i, name := range c.files {
		info, err := os.Stat(name)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxPEM) {
			err = fmt.Errorf("%s is no file in PEM", name)
		}
		if err == nil {
			said[i], err = atomicfile.Read(name)
		}
		if err != nil {
			return err
		}
		if i == 1 {
			c.opens(openFor(info.Mode()))
		}
	}
	if bytes.Equal(said[0], c.said[0]) && bytes.Equal(said[1], c.said[1]) {
		return nil
	}
	pair, err := tls.X509KeyPair(said[0], said[1])
	if err != nil {
		return err
	}
	c.said = said
	c.held.Store(&pair)
	c.told = ""
	c.tell(time.Now())
	return nil
}

// openFor is what every user of the machine can do with a file of that mode. To run it is nothing.
func openFor(mode os.FileMode) string {
	switch others := mode.Perm() & 0o006; {
	case runtime.GOOS == "windows": // which has no such modes
	case others == 0o006:
		return "read and change"
	case others == 0o004:
		return "read"
	case others == 0o002:
		return "change"
	}
	return ""
}

// opens notes what every user of the machine can do with the key's file, and logs it where it is new.
func (c *certificate) opens(open string) {
	c.mu.Lock()
	before := c.openKey
	c.openKey = open
	c.mu.Unlock()
	if open != "" && open != before {
		c.log.Warn("every user of this machine can "+open+" the key of HTTPS's certificate, with which one can pass for this node", "flag", tlsKeyFlag, "file", c.files[1],
			"safer", "chmod o= "+bus.ShellWord(c.files[1]))
	}
}

// tell logs how the certificate stands, where that is new.
func (c *certificate) tell(now time.Time) {
	leaf := c.held.Load().Leaf
	stands := standing(leaf, now)
	if stands == c.told {
		return
	}
	c.told = stands
	args := []any{"names", c.names(), "until", leaf.NotAfter.UTC().Format(time.RFC3339)}
	switch stands {
	case bus.CertificateGood:
		c.log.Info("HTTPS has a certificate", args...)
	case bus.CertificateEnds:
		c.log.Warn("the certificate of HTTPS ends soon: renew its files, which are read again by themselves", args...)
	default:
		c.log.Warn("the certificate of HTTPS is not good today: browsers and programs refuse it", args...)
	}
}

// endsWithin is how long before its end a certificate should have been renewed: less for one that lasts days.
const endsWithin = 7 * 24 * time.Hour

// standing is how a certificate stands.
func standing(leaf *x509.Certificate, now time.Time) bus.CertificateState {
	switch left := leaf.NotAfter.Sub(now); {
	case left < 0:
		return bus.CertificateOver
	case now.Before(leaf.NotBefore):
		return bus.CertificateEarly
	case left < min(endsWithin, leaf.NotAfter.Sub(leaf.NotBefore)/4):
		return bus.CertificateEnds
	}
	return bus.CertificateGood
}

// diagnose tells of it for `myco doctor`. A nil one is not there.
func (c *certificate) diagnose(now time.Time) *bus.HTTPSDiagnosis {
	if c == nil {
		return nil
	}
	leaf := c.held.Load().Leaf
	out := &bus.HTTPSDiagnosis{Names: c.names(), From: leaf.NotBefore.UTC(), Until: leaf.NotAfter.UTC(), State: standing(leaf, now)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if out.Error = c.failed; c.openKey != "" {
		out.OpenKey, out.OpenKeyFor = c.files[1], c.openKey
	}
	return out
}

package daemon

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// NewCertificate writes a certificate for names, and for 127.0.0.1, that is good until end, and its key.
func NewCertificate(t *testing.T, cert, key string, end time.Time, names ...string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	tmpl.DNSNames = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		ip := net.ParseIP(name)
		if ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		}
		return ip != nil
	})
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: data}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{cert, key} {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	write(cert, "CERTIFICATE", der)
	write(key, "PRIVATE KEY", secret)
}

// A certificate that is renewed counts without a start, and one that is of no use does not.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "box.crt"), filepath.Join(dir, "box.key")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := &certificate{files: [2]string{cert, key}, log: slog.New(slog.NewTextHandler(&log, nil))}
		NewCertificate(t, cert, key, time.Now().AddDate(0, 0, 1), "first.example")
		if err := c.read(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.run(ctx) }()
		has := func(when, name string) {
			t.Helper()
			if names := c.names(); !slices.Contains(names, name) {
				t.Errorf("%s it is for %v, want %s", when, names, name)
			}
		}
		if err := os.WriteFile(cert, []byte("-----BEGIN CERT"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * rereadCertificate)
		synctest.Wait()
		has("with a file that is half written", "first.example")
		if n := strings.Count(log.String(), "cannot be read again"); n != 1 {
			t.Errorf("it is told %d times, want 1:\n%s", n, &log)
		}
		NewCertificate(t, cert, key, time.Now().AddDate(0, 0, -1), "second.example")
		time.Sleep(rereadCertificate)
		synctest.Wait()
		has("renewed", "second.example")
		if !strings.Contains(log.String(), "not good today") {
			t.Errorf("nothing tells that it has ended:\n%s", &log)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// at is a listener of which only the address is asked.
type at struct {
	net.Listener
	addr net.TCPAddr
}

func (a at) Addr() net.Addr { return &a.addr }

// A phone is told a name by which it finds this machine, and not itself; the machine's own programs any that the certificate has.
func TestHTTPSAddressIsForOthers(t *testing.T) {
	t.Parallel()
	all, own := net.IPv4zero, net.IPv4(127, 0, 0, 1)
	for name, c := range map[string]struct {
		on           net.IP
		names, hosts []string
		want         string
	}{
		"a name":                 {all, []string{"box.example"}, nil, "box.example:7"},
		"of mkcert":              {all, []string{"localhost", "LOCALHOST.", "a.localhost", "127.0.0.9", "::1", "192.0.2.7"}, nil, "192.0.2.7:7"},
		"an IPv6 address":        {all, []string{"fd00::7"}, nil, "[fd00::7]:7"},
		"of this machine alone":  {all, []string{"localhost"}, nil, "192.0.2.1:7"},
		"a pattern":              {all, []string{"*.lan.example"}, []string{"box.other.example", "box.lan.example"}, "box.lan.example:7"},
		"a pattern that has not": {all, []string{"*.lan.example"}, []string{"box.other.example"}, "192.0.2.1:7"},
		"an address of its own":  {net.IPv4(192, 0, 2, 2), []string{"localhost"}, nil, "192.0.2.2:7"},
		"listens for itself":     {own, []string{"localhost"}, nil, "localhost:7"},
		"for itself, no name":    {own, nil, nil, "127.0.0.1:7"},
	} {
		file := filepath.Join(t.TempDir(), "box.pem")
		NewCertificate(t, file, file, time.Now().AddDate(0, 0, 1), c.names...)
		d := &Daemon{https: at{addr: net.TCPAddr{IP: c.on, Port: 7}}, cert: &certificate{files: [2]string{file, file}, log: slog.New(slog.DiscardHandler)}}
		d.cfg.HTTPHosts = c.hosts
		d.own.read, d.own.all = time.Now().Add(time.Hour), []netip.Addr{netip.MustParseAddr("192.0.2.1")}
		if err := d.cert.read(); err != nil {
			t.Fatal(err)
		}
		if got := d.httpsAddr(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

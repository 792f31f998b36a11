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
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
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

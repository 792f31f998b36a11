package daemon_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/daemon"
)

// With a certificate of the owner's a node answers over HTTPS, by the names of that.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	cert := filepath.Join(t.TempDir(), "box.pem") // with its key
	daemon.NewCertificate(t, cert, cert, time.Now().AddDate(0, 0, 1), "*.lan.example", "box.example")
	a := start(t, "a", withDemo, func(c *config.Config) { c.HTTPSListen, c.TLSCert = "127.0.0.1:0", cert })
	at, err := url.Parse(a.Info().HTTPSURL)
	if err != nil || at.Scheme != "https" || at.Hostname() != "box.example" {
		t.Fatalf("HTTPS is at %s, %v", a.Info().HTTPSURL, err)
	}
	data, err := os.ReadFile(cert)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	local := net.JoinHostPort("127.0.0.1", at.Port())
	get := func(url string, conf *tls.Config) (int, error) {
		var d net.Dialer
		conf.RootCAs = roots
		tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf, ForceAttemptHTTP2: true}
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, local)
		}
		req, err := http.NewRequestWithContext(a.ctx(), "GET", url, nil)
		check(t, err)
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			return 0, err
		}
		check(t, resp.Body.Close())
		return resp.StatusCode, nil
	}
	for host, want := range map[string]int{"box.example": 200, "127.0.0.1": 200, "other.lan.example": 403} {
		if status, err := get("https://"+net.JoinHostPort(host, at.Port())+"/api/version", &tls.Config{}); status != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", host, status, err, want)
		}
	}
	if status, err := get(at.String()+"/status", &tls.Config{}); status != 401 || err != nil {
		t.Errorf("the swarm's own interface without a key: %d, %v", status, err)
	}
	if d, err := a.conn.Diagnose(a.ctx()); err != nil || d.HTTPS == nil || d.HTTPS.State != bus.CertificateEnds || d.HTTPS.OpenKey != "" {
		t.Errorf("myco doctor is told %+v, %v", d.HTTPS, err)
	}
	if _, err := get(at.String(), &tls.Config{MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("an old TLS is spoken")
	}
	if status, err := get("http://"+local, &tls.Config{}); status != 400 || err != nil {
		t.Errorf("without TLS: %d, %v", status, err)
	}
}

// What is no certificate is refused at the start, with what it should be.
func TestHTTPSWantsACertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "box.crt"), filepath.Join(dir, "box.key")
	daemon.NewCertificate(t, cert, key, time.Now().AddDate(0, 0, 1))
	for says, files := range map[string][2]string{
		"none.crt": {filepath.Join(dir, "none.crt"), key}, "private key": {cert, ""}, "is no file in PEM": {cert, dir}, "certificate": {key, key},
	} {
		n := newNode(t, "a", func(c *config.Config) { c.HTTPSListen, c.TLSCert, c.TLSKey = "127.0.0.1:0", files[0], files[1] })
		if e := n.refused(bus.CodeInvalid); !strings.Contains(e.Message, "--tls-cert") || !strings.Contains(e.Message, says) || !strings.Contains(e.Hint, "--tls-key") {
			t.Errorf("%s: %s (%s)", says, e.Message, e.Hint)
		}
	}
}

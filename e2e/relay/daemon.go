//go:build e2e

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// forward takes requests for workers on "ask.NAME": a worker's subject, and what it is to be asked. What
// the worker says comes to "out.NAME.ID", and goes on to who asked.
func forward(nc *nats.Conn, name string) error {
	var mu sync.Mutex
	asked := map[string]string{} // who asked, by id
	out := "out." + name + "."
	if _, err := nc.Subscribe(out+"*", func(m *nats.Msg) {
		id := strings.TrimPrefix(m.Subject, out)
		mu.Lock()
		to := asked[id]
		if len(m.Data) == 0 {
			delete(asked, id)
		}
		mu.Unlock()
		_ = nc.Publish(to, m.Data) // whoever asked may have gone
	}); err != nil {
		return err
	}
	if _, err := nc.Subscribe("ask."+name, func(m *nats.Msg) {
		worker, what, _ := bytes.Cut(m.Data, []byte("\n"))
		id := nuid.Next()
		mu.Lock()
		asked[id] = m.Reply
		mu.Unlock()
		_ = nc.PublishRequest(string(worker), out+id, what) // it fails only with the connection
	}); err != nil {
		return err
	}
	return nc.Flush()
}

// routeTLS is TLS with a new key on both sides, and no trust.
func routeTLS() (*tls.Config, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, pub, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		InsecureSkipVerify: true, //nolint:gosec // a floor of times, not of trust
		Certificates:       []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, nil
}

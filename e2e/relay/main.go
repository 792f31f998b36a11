//go:build e2e

// Command relay is what token streams are measured against: an engine that paces its tokens and stamps
// each with the time, a plain reverse proxy before it, and the least that NATS does to bring its tokens
// to another machine, two servers with a route between them and a worker that publishes each line. It
// has no queue, no claims and no retries. It says where it is reached, and ends when its input does.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: relay engine | proxy URL | node [ROUTE] | daemon [ROUTE]")
	}
	var err error
	switch arg := append(os.Args, "")[2]; os.Args[1] {
	case "engine":
		err = listen(engine())
	case "proxy":
		err = proxy(arg)
	case "node":
		err = node(arg, nil)
	case "daemon":
		var secure *tls.Config
		if secure, err = routeTLS(); err == nil {
			err = node(arg, secure)
		}
	default:
		err = fmt.Errorf("there is no %q", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// ready says where this process is reached, and waits for its end.
func ready(addr map[string]string) error {
	if err := json.NewEncoder(os.Stdout).Encode(addr); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// listen serves h until the end.
func listen(h http.Handler) error {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { log.Fatal((&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(ln)) }()
	return ready(map[string]string{"url": "http://" + ln.Addr().String()})
}

func proxy(target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	p := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(u) },
		FlushInterval: -1, Transport: transport(),
	}
	return listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Or the server ends the body under the transport that still looks for its end, when the engine is
		// quick to answer, and the transport gives up its connection.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			log.Print(err)
		}
		p.ServeHTTP(w, r)
	}))
}

// transport keeps as many connections as there are streams.
func transport() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 64} }

// node is a NATS server, with a route to another where that is named, and a worker on it: a message to
// "relay.NAME" is an engine's URL and a request for it, and each line of the answer goes to its reply
// subject, an empty one last.
//
// With secure it is the least that a daemon of ours can be: its route is TLS, and a client's request goes
// through the program at the client's node, which hears the answer and tells the client.
func node(route string, secure *tls.Config) error {
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		Cluster: server.ClusterOpts{Name: "relay", Host: "127.0.0.1", Port: server.RANDOM_PORT, TLSConfig: secure, TLSTimeout: 30},
	}
	if route != "" {
		u, err := url.Parse(route)
		if err != nil {
			return err
		}
		o.Routes = []*url.URL{u}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("the server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return err
	}
	name := s.ClusterAddr().String()
	if err := work(nc, "relay."+subject(name)); err != nil {
		return err
	}
	if secure != nil {
		if err := forward(nc, subject(name)); err != nil {
			return err
		}
	}
	return ready(map[string]string{"url": s.ClientURL(), "route": "nats://" + name, "worker": "relay." + subject(name), "ask": "ask." + subject(name)})
}

// subject makes one token of an address.
func subject(addr string) string {
	return string(bytes.Map(func(r rune) rune {
		if r == '.' || r == ':' {
			return '-'
		}
		return r
	}, []byte(addr)))
}

func work(nc *nats.Conn, subject string) error {
	hc := &http.Client{Transport: transport()}
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		go func() {
			if err := pass(nc, hc, m); err != nil {
				log.Print(err)
			}
			_ = nc.Publish(m.Reply, nil) // whoever asked may have gone
		}()
	})
	if err != nil {
		return err
	}
	return nc.Flush()
}

func pass(nc *nats.Conn, hc *http.Client, m *nats.Msg) error {
	u, body, _ := bytes.Cut(m.Data, []byte("\n"))
	resp, err := hc.Post(string(u), "application/json", bytes.NewReader(body)) //nolint:noctx // it ends with the process
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := nc.Publish(m.Reply, line); err != nil {
			return err
		}
	}
}

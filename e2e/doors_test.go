//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// seedOption proves a seed.
func seedOption(t *testing.T, seed string) nats.Option {
	t.Helper()
	kp, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return nats.Nkey(pub, kp.Sign)
}

// dialSeed connects to n's bus.
func dialSeed(t *testing.T, n *harness.Node, seed, inbox string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(n.Info.BusURL, seedOption(t, seed), nats.CustomInboxPrefix(inbox), nats.NoReconnect(), nats.Timeout(harness.Patience))
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// door is one way to connect to a daemon, and whether it leads in.
type door struct {
	name string
	in   bool
}

// doors tries every credential at the doors of a.
func doors(t *testing.T, a, b *harness.Node, store leaf) []door {
	t.Helper()
	stranger, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	strangerSeed, err := stranger.Seed()
	if err != nil {
		t.Fatal(err)
	}
	user := readFile(t, a, bus.UserCreds)
	kp, err := nkeys.FromSeed([]byte(user))
	if err != nil {
		t.Fatal(err)
	}
	userPub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	cert := &tls.Config{Certificates: []tls.Certificate{nodeCert(t, keyOf(t, b))}, InsecureSkipVerify: true}
	// What is replaced first: the old user's credential must be of no use for all that follows.
	var out []door
	for _, d := range []struct {
		name string
		opts []nats.Option
	}{
		{"bus: nobody", nil},
		{"bus: a name and a password", []nats.Option{nats.UserInfo("admin", "admin")}},
		{"bus: the HTTP key as a token", []nats.Option{nats.Token(readFile(t, a, bus.HTTPKeyFile))}},
		{"bus: an unknown key", []nats.Option{seedOption(t, string(strangerSeed))}},
		{"bus: the user's public key, signed by another", []nats.Option{nats.Nkey(userPub, stranger.Sign)}},
		{"bus: the user's public key, unsigned", []nats.Option{nats.Nkey(userPub, func([]byte) ([]byte, error) { return nil, nil })}},
		{"bus: user of another daemon", []nats.Option{seedOption(t, readFile(t, b, bus.UserCreds))}},
		{"bus: observer of another daemon", []nats.Option{seedOption(t, readFile(t, b, bus.ObserverCred))}},
		{"bus: another daemon's certificate", []nats.Option{nats.Secure(cert)}},
		{"bus: the store's key", []nats.Option{seedOption(t, store.seed)}},
		{"bus: observer", []nats.Option{seedOption(t, readFile(t, a, bus.ObserverCred))}},
		{"bus: user", []nats.Option{seedOption(t, user)}},
	} {
		nc, err := nats.Connect(a.Info.BusURL, append(d.opts, nats.NoReconnect(), nats.Timeout(harness.Patience))...)
		if err == nil {
			nc.Close()
		}
		out = append(out, door{d.name, err == nil})
	}
	for name, seed := range map[string]string{
		"leaf: nobody": "", "leaf: an unknown key": string(strangerSeed), "leaf: user": user, "leaf: observer": readFile(t, a, bus.ObserverCred),
		"leaf: user of another daemon": readFile(t, b, bus.UserCreds), "leaf: the store's key": store.seed,
	} {
		l := leaf{addr: store.addr, seed: seed}
		c, err := l.dial(t)
		if err == nil {
			c.Close()
		}
		out = append(out, door{name, err == nil})
	}
	slices.SortFunc(out, func(x, y door) int { return strings.Compare(x.name, y.name) })
	return out
}

// keyOf is the private key of a node, stolen from its disk.
func keyOf(t *testing.T, n *harness.Node) ed25519.PrivateKey {
	t.Helper()
	block, _ := pem.Decode([]byte(readFile(t, n, filepath.Join("identity", "node.key"))))
	if block == nil {
		t.Fatal("the node's key is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(ed25519.PrivateKey)
}

// contents is what the stores hold, in words.
type contents struct {
	stream string // the outbox of the first
	text   string
}

// stores tells what is in the stores of nodes, the bucket of peers apart, which changes all the time.
func stores(t *testing.T, nodes ...*harness.Node) (c contents) {
	t.Helper()
	ctx := within(t, "list the streams")
	for _, n := range nodes {
		nc := dialSeed(t, n, readFile(t, n, bus.UserCreds), bus.UserInbox(n.Info.NodeID))
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		list := js.ListStreams(ctx)
		var lines []string
		for s := range list.Info() {
			if s.Config.Name == "KV_"+bus.BucketPeers {
				continue
			}
			line := fmt.Sprintf("%s %s %v", n.Name, s.Config.Name, s.Config.Subjects)
			if strings.Contains(strings.Join(s.Config.Subjects, " "), bus.SubjectOutboxes) {
				line += fmt.Sprintf(" %d messages, the last %d", s.State.Msgs, s.State.LastSeq)
				if c.stream == "" {
					c.stream = s.Config.Name
				}
			}
			lines = append(lines, line)
		}
		if err := list.Err(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(lines)
		c.text += strings.Join(lines, "\n") + "\n"
	}
	if c.stream == "" {
		t.Fatalf("there is no outbox among\n%s", c.text)
	}
	return c
}

// leaf is the door of a daemon's own store, and the key to it.
type leaf struct{ addr, seed string }

// leafOf steals the key of n's store, as root can: it is in the daemon's memory only, and no other
// seed there opens that door.
func leafOf(t *testing.T, n *harness.Node) leaf {
	t.Helper()
	l := leaf{addr: leafAddr(t, n)}
	maps := read(t, fmt.Sprintf("/proc/%d/maps", n.PID()))
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", n.PID()))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	tried := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([0-9a-f]+)-([0-9a-f]+) rw`).FindAllStringSubmatch(maps, -1) {
		var from, to int64
		if _, err := fmt.Sscanf(m[1]+" "+m[2], "%x %x", &from, &to); err != nil || to-from > 1<<28 {
			continue
		}
		b := make([]byte, to-from)
		k, _ := mem.ReadAt(b, from) // as much as is there
		for _, seed := range regexp.MustCompile(`SU[A-Z2-7]{56}`).FindAllString(string(b[:k]), -1) {
			if _, err := nkeys.FromSeed([]byte(seed)); err != nil || tried[seed] {
				continue
			}
			tried[seed] = true
			l.seed = seed
			if c, err := l.dial(t); err == nil {
				c.Close()
				return l
			}
		}
	}
	t.Fatalf("none of %d seeds in the memory of %s opens its store's door", len(tried), n.Name)
	return l
}

// leafAddr is where n's store connects: the one of its listeners that daemon.json does not tell.
func leafAddr(t *testing.T, n *harness.Node) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ss", "-ltnpH").Output()
	if err != nil {
		t.Fatalf("list listeners: %v", err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.Contains(line, fmt.Sprintf("pid=%d,", n.PID())) {
			continue
		}
		if addr := f[3]; !strings.Contains(n.Info.BusURL+" "+n.Info.HTTPURL+" "+n.Info.FabricAddr+" "+n.Info.JoinAddr+" ", addr) {
			found = append(found, addr)
		}
	}
	if len(found) != 1 {
		t.Fatalf("listeners that daemon.json does not tell: %q, want one, of the store\n%s", found, out)
	}
	return found[0]
}

// leafConn is a connection that speaks a store's part by hand.
type leafConn struct {
	net.Conn
	in *bufio.Reader
}

// dial connects as the store does; it fails where the door stays shut.
func (l leaf) dial(t *testing.T) (*leafConn, error) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &leafConn{conn, bufio.NewReader(conn)}
	err = conn.SetDeadline(time.Now().Add(harness.Patience))
	if err == nil {
		err = c.greet(l.seed)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *leafConn) greet(seed string) error {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return err
	}
	var info struct{ Nonce string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info); err != nil {
		return err
	}
	hello := map[string]any{"version": "2.15.2", "name": rand.Text(), "server_id": rand.Text(), "domain": rand.Text(), "headers": true, "jetstream": true}
	if seed != "" {
		kp, err := nkeys.FromSeed([]byte(seed))
		if err != nil {
			return err
		}
		pub, err := kp.PublicKey()
		if err != nil {
			return err
		}
		sig, err := kp.Sign([]byte(info.Nonce))
		if err != nil {
			return err
		}
		hello["nkey"], hello["sig"] = pub, base64.RawURLEncoding.EncodeToString(sig)
	}
	b, err := json.Marshal(hello)
	if err != nil {
		return err
	}
	return c.do("CONNECT " + string(b) + "\r\n")
}

// errLeaf is what the server says to a leaf that it cuts.
var errLeaf = errors.New("refused")

// do sends lines and a ping, and waits for the pong, or for a refusal.
func (c *leafConn) do(lines string) error {
	if _, err := io.WriteString(c, lines+"PING\r\n"); err != nil {
		return err
	}
	for {
		line, err := c.in.ReadString('\n')
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "PONG"):
			return nil
		case strings.HasPrefix(line, "-ERR"):
			return fmt.Errorf("%w: %s", errLeaf, line)
		case strings.HasPrefix(line, "PING"):
			if _, err := io.WriteString(c, "PONG\r\n"); err != nil {
				return err
			}
		}
	}
}

// try implements try for whoever has the store's key.
func (l leaf) try(t *testing.T, op, subject string) bool {
	t.Helper()
	c, err := l.dial(t)
	if err != nil {
		t.Fatalf("the store's key: %v", err)
	}
	defer c.Close()
	lines := "LS+ " + subject + "\r\n"
	if op == "pub" {
		lines = "LMSG " + subject + " 0\r\n\r\n"
	}
	err = c.do(lines)
	if err != nil && !errors.Is(err, errLeaf) && !errors.Is(err, io.EOF) {
		t.Fatalf("%s %s with the store's key: %v", op, subject, err)
	}
	return err == nil
}

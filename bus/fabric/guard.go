package fabric

import (
	"encoding/base64"
	"net"
	"runtime"
	"strings"
	"sync"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// guard lets clients and the own store's leaf connection in, in place of the server's own check of
// the same list of users. The server (2.15.2) checks all connections anew at each change of its
// options, whatever changed: it refuses those that have not said yet who they are, and writes what
// their own goroutines read meanwhile. Who may connect changes by Fabric.RotateClients alone, so the
// guard leaves at a reload everybody as he is.
type guard struct {
	srv *server.Server

	mu    sync.RWMutex
	users map[string]*server.NkeyUser // replaced as a whole
}

// install makes the guard of s, which runs with o and is not started. The server keeps the list
// of users that it was made with, and needs it at a reload.
func install(s *server.Server, o *server.Options, c Config, k *keyring) *guard {
	g := &guard{srv: s}
	g.set(users(c, k, nil))
	o.CustomClientAuthentication = g
	return g
}

// set replaces the list of users.
func (g *guard) set(list []*server.NkeyUser) {
	users := make(map[string]*server.NkeyUser, len(list))
	for _, u := range list {
		users[u.Nkey] = u
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users = users
}

func (g *guard) user(key string) *server.NkeyUser {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.users[key]
}

// knows reports whether whoever proves key may connect now.
func (g *guard) knows(key string) bool { return g.user(key) != nil }

// Check implements server.Authentication.
func (g *guard) Check(c server.ClientAuthentication) bool {
	if reloading() {
		return true // let in when it came, or still to say who it is
	}
	o := c.GetOpts()
	u := g.user(o.Nkey)
	if u == nil {
		return protect.Clients.Off()
	}
	if _, ok := u.AllowedConnectionTypes[connectionType(c)]; !ok {
		return false
	}
	if !proven(o.Nkey, o.Sig, c.GetNonce()) {
		return false
	}
	acc, err := g.srv.LookupAccount(account)
	if err != nil {
		return false
	}
	may := u.Permissions
	if protect.Grants.Off() {
		may = nil
	}
	c.RegisterUser(&server.User{Permissions: may, Account: acc})
	return true
}

// connectionType names how c connects, in the words of package jwt; "" for what nobody may use.
func connectionType(c server.ClientAuthentication) string {
	switch c.Kind() {
	case server.LEAF:
		return jwt.ConnectionTypeLeafnode
	case server.CLIENT:
		switch c.RemoteAddress().(type) {
		case nil:
		case *net.TCPAddr:
			return jwt.ConnectionTypeStandard
		default: // the pipe of server.InProcessConn
			return jwt.ConnectionTypeInProcess
		}
	}
	return ""
}

// proven reports whether sig, in either alphabet of base64, is key's signature of nonce.
func proven(key, sig string, nonce []byte) bool {
	sig = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(sig, "="))
	raw, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil || len(nonce) == 0 {
		return false
	}
	pub, err := nkeys.FromPublicKey(key)
	return err == nil && pub.Verify(nonce, raw) == nil
}

// reloading reports whether the caller was called by Fabric.reload, which the server calls back
// from in the same goroutine.
func reloading() bool {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "fabric.(*Fabric).reload") {
			return true
		}
		if !more {
			return false
		}
	}
}

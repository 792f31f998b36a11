package discovery_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// child runs this process as something else than tests, where its environment says so. The
// tests with network namespaces set it.
var child = func() bool { return false }

// TestMain looks for leaks. zeroconf leaves a goroutine behind for each registration, for 4 s
// at most: it is given that time, and not passed over, so that a lasting leak is seen.
func TestMain(m *testing.M) {
	if child() {
		return
	}
	code := m.Run()
	if code == 0 {
		var err error
		for range 10 {
			if err = goleak.Find(); err == nil {
				break
			}
			<-time.After(time.Second)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// fingerprint makes a key's fingerprint out of a name.
func fingerprint(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// config is that of a node with the given name, on loopback.
func config(t testing.TB, name string) discovery.Config {
	t.Helper()
	fp := fingerprint(name)
	id, err := bus.NodeIDOf(fp)
	if err != nil {
		t.Fatal(err)
	}
	return discovery.Config{
		NodeID: id, Fingerprint: fp, SwarmID: fingerprint("swarm"), Version: "1.2.3",
		Host: "attic", FabricPort: 7422, JoinPort: 7423, Interfaces: []string{discovery.Loopback},
	}
}

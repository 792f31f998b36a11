package fabric

import (
	"crypto/tls"
	"testing"
)

// A node that was switched off is dialled each second, for ever: one line for each attempt would be
// all there is in the log.
func TestDialsThatFailAreLoggedSeldom(t *testing.T) {
	t.Parallel()
	keys, err := newKeyring()
	if err != nil {
		t.Fatal(err)
	}
	o, err := (&Fabric{cfg: Config{ID: "myco-000000000000", TLS: &tls.Config{}}, keys: keys}).options("127.0.0.1", "127.0.0.1", ports{})
	if err != nil {
		t.Fatal(err)
	}
	if o.ConnectErrorReports < 1000 || o.ReconnectErrorReports < 1000 {
		t.Errorf("one line for %d dials at first and %d later, want 1000 at least", o.ConnectErrorReports, o.ReconnectErrorReports)
	}
}

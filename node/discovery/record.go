package discovery

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Record is what the TXT record of a node tells. It never changes while the node runs. It
// says nothing of hardware or models, which is nobody's business outside of the swarm.
type Record struct {
	NodeID      bus.NodeID
	Fingerprint string // 64 hex digits; NodeID begins like it
	SwarmID     string // at most 12 hex digits
	Version     string // at most 32 characters
	JoinPort    int    // 0: takes nobody in
}

// The limits of a TXT record. What this package writes stays under 200 bytes with its length
// bytes, so that an announcement fits one packet; what it reads may be of a later version.
const (
	maxTXT     = 200
	maxRead    = 1024
	maxStrings = 32
	maxVersion = 32
)

// TXT returns the strings of the record (RFC 6763, 6.3): "txtvers=1" first.
func (r Record) TXT() []string {
	txt := []string{
		"txtvers=1",
		"id=" + string(r.NodeID),
		"ver=" + r.Version,
		"fp=" + r.Fingerprint,
		"swarm=" + r.SwarmID,
	}
	if r.JoinPort != 0 {
		txt = append(txt, "join="+strconv.Itoa(r.JoinPort))
	}
	return txt
}

// ParseTXT reads the strings of a TXT record. Unknown keys are passed over, and of a key that
// comes twice the first counts (RFC 6763, 6.4). It is an error if a string is over its limit,
// the version of the format is not 1, a value is not of its form, or the id is not that of
// the fingerprint. Without error, r.TXT gives a record that reads the same.
func ParseTXT(txt []string) (r Record, err error) {
	if err := bounded(txt); err != nil {
		return Record{}, err
	}
	values := map[string]string{}
	for _, s := range txt {
		key, value, ok := strings.Cut(s, "=")
		key = strings.ToLower(key)
		if _, twice := values[key]; ok && !twice {
			values[key] = value
		}
	}
	if v := values["txtvers"]; v != "1" {
		return Record{}, fmt.Errorf("TXT record of version %q, want 1", v)
	}
	r = Record{
		NodeID:      bus.NodeID(values["id"]),
		Fingerprint: values["fp"],
		SwarmID:     values["swarm"],
		Version:     values["ver"],
	}
	if join, ok := values["join"]; ok {
		port, err := strconv.ParseUint(join, 10, 16)
		if err != nil || port == 0 {
			return Record{}, fmt.Errorf("join port %q is not in 1 to 65535", join)
		}
		r.JoinPort = int(port)
	}
	if err := r.check(); err != nil {
		return Record{}, err
	}
	return r, nil
}

// bounded checks the size of what others sent.
func bounded(txt []string) error {
	if len(txt) > maxStrings {
		return fmt.Errorf("TXT record of %d strings, want %d at most", len(txt), maxStrings)
	}
	size := 0
	for _, s := range txt {
		size += len(s) + 1
	}
	if size > maxRead {
		return fmt.Errorf("TXT record of %d bytes, want %d at most", size, maxRead)
	}
	return nil
}

// check checks each value, and that the record fits.
func (r Record) check() error {
	switch {
	case len(r.Fingerprint) != 64 || !hex(r.Fingerprint):
		return errors.New("TXT record: the fingerprint is not 64 hex digits")
	case len(r.SwarmID) > shortSwarm || !hex(r.SwarmID):
		return fmt.Errorf("TXT record: the swarm id is not %d hex digits", shortSwarm)
	case !version(r.Version):
		return errors.New("TXT record: the version is over 32 characters, or has strange ones")
	case r.JoinPort < 0 || r.JoinPort > 65535:
		return fmt.Errorf("join port %d is not in 1 to 65535", r.JoinPort)
	}
	id, err := bus.NodeIDOf(r.Fingerprint)
	if err != nil {
		return fmt.Errorf("TXT record: %w", err)
	}
	if id != r.NodeID {
		return fmt.Errorf("TXT record: the id %.20q is not that of the fingerprint", string(r.NodeID))
	}
	size := 0
	for _, s := range r.TXT() {
		size += len(s) + 1
	}
	if size >= maxTXT {
		return fmt.Errorf("TXT record of %d bytes, want less than %d", size, maxTXT)
	}
	return nil
}

func hex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// version reports whether s is short and plain: it is shown to people.
func version(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune(".+-_", rune(c)) {
			return false
		}
	}
	return len(s) <= maxVersion
}

//go:build !next

package bus

// What this program speaks, see Wire. docs/protocol.md ("Versions") tells when to raise which.
const (
	wireVersion = 1
	wireOldest  = 1
)

// withAdded is what Encode appends.
func (l Later) withAdded() string { return string(l) }

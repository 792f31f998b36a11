//go:build !next

package bus

// What this program speaks, see Wire. docs/protocol.md ("Versions") tells when to raise which.
const (
	wireVersion = 4
	wireOldest  = 4
)

// withAdded returns the unknown fields to encode.
func withAdded(l Later) Later { return l }

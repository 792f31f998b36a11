//go:build !next

package bus

// What this program speaks, see Wire. docs/protocol.md ("Versions") tells when to raise which.
//
// Version 2: payloads and results over MaxInline are Blobs.
const (
	wireVersion = 2
	wireOldest  = 1
)

// withAdded returns the unknown fields to encode.
func withAdded(l Later) Later { return l }

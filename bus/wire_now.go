//go:build !next

package bus

// What this program speaks, see Wire. docs/protocol.md ("Versions") tells when to raise which.
//
// Version 2: payloads and results over MaxInline are Blobs. Version 3: queue hosts take SubjectOffer.
const (
	wireVersion = 3
	wireOldest  = 1
)

// withAdded returns the unknown fields to encode.
func withAdded(l Later) Later { return l }

package bus

import (
	"crypto/sha256"
	"encoding/hex"
)

// BlobPiece is how much of a Blob, in bytes, crosses in one message.
const BlobPiece = 512 << 10

// Blob stands for JSON that is over MaxInline, where a message carries no more than that: the
// payload of a task, or its result. Programs that use Conn never meet one.
type Blob struct {
	// SHA256 of the content, in hex, and its size in bytes.
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	// Token names, between a program and its daemon, where the content is handed over.
	Token string `json:"token,omitempty"`
}

// BlobOf returns the Blob of data.
func BlobOf(data []byte) Blob {
	sum := sha256.Sum256(data)
	return Blob{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
}

// UnmarshalJSON fails as Validate does: a blob's name becomes a file's, and its size is set aside.
func (b *Blob) UnmarshalJSON(data []byte) error {
	type plain Blob
	if err := Unmarshal(data, (*plain)(b)); err != nil {
		return err
	}
	return b.Validate()
}

// Validate returns an Error with CodeInvalid or CodeTooLarge for what no content can have.
func (b Blob) Validate() error {
	raw, err := hex.DecodeString(b.SHA256)
	switch {
	case err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != b.SHA256:
		return Errorf(CodeInvalid, "blob: %q is no SHA-256 in lower-case hex", b.SHA256)
	case b.Size <= 0:
		return Errorf(CodeInvalid, "blob: a size of %d bytes", b.Size)
	case b.Size > MaxPayload:
		return TooLarge("content", b.Size)
	}
	return nil
}

// Is reports whether data is the content of b.
func (b Blob) Is(data []byte) bool {
	have := BlobOf(data)
	return have.SHA256 == b.SHA256 && have.Size == b.Size
}

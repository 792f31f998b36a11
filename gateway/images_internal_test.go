package gateway

import (
	"strings"
	"testing"
)

// An image holds no more memory than it counts for, or twice as much: base64 may have lines, even without anything in them.
func TestImagesHoldWhatTheyCountFor(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"", "QUJD", "QUJDRA=="} {
		image, err := decodeImage([]byte(said + strings.Repeat("\r\n", 1<<16)))
		if err != nil || image == nil || cap(image) > 64 {
			t.Errorf("%q and empty lines: %q holds %d bytes, %v", said, image, cap(image), err)
		}
	}
}

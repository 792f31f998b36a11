package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// wordEncoding is the alphabet of tokens and phrases: one case, and neither 0 nor 1,
// so it can be read aloud and typed.
var wordEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const (
	phraseSum   = 3 // bytes of checksum: with the seed 35 bytes, 56 letters, 14 groups
	phraseGroup = 4
)

func phraseChecksum(seed []byte) []byte {
	sum := sha256.Sum256(append([]byte("mycoswarm phrase v1\x00"), seed...))
	return sum[:phraseSum]
}

// encodePhrase writes a swarm key's seed as 14 groups of four letters and digits.
func encodePhrase(seed []byte) string {
	s := wordEncoding.EncodeToString(append(append([]byte{}, seed...), phraseChecksum(seed)...))
	var groups []string
	for len(s) > 0 {
		n := min(phraseGroup, len(s))
		groups, s = append(groups, s[:n]), s[n:]
	}
	return strings.Join(groups, "-")
}

// decodePhrase reads what encodePhrase wrote, in any case and with any spaces or
// dashes. It fails with ErrBadPhrase.
func decodePhrase(phrase string) (ed25519.PrivateKey, error) {
	bad := func(cause string) error {
		return &Error{Kind: ErrBadPhrase, Cause: cause, Next: "type it again as it was printed when the swarm was founded, or its key was replaced last"}
	}
	s := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -\t\r\n", r) {
			return -1
		}
		return r
	}, strings.ToLower(phrase))
	want := wordEncoding.EncodedLen(ed25519.SeedSize + phraseSum)
	if len(s) != want {
		return nil, bad(fmt.Sprintf("the recovery phrase has %d letters instead of %d", len([]rune(s)), want))
	}
	b, err := wordEncoding.DecodeString(s)
	if err != nil {
		return nil, bad("the recovery phrase has a character that is not a to z or 2 to 7")
	}
	seed := b[:ed25519.SeedSize]
	if string(phraseChecksum(seed)) != string(b[ed25519.SeedSize:]) {
		return nil, bad("the recovery phrase has a typing mistake")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

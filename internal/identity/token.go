package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// TokenLife is how long an invitation can be used.
const TokenLife = 15 * time.Minute

const (
	// tokenPrefix begins every token; the 1, which the alphabet does not have, is
	// the format's version and ends the prefix.
	tokenPrefix = "myco1"
	tokenSum    = 4
	secretSize  = 16
	swarmPart   = 16 // bytes of the swarm id that a token carries

	// MaxAddrs is how many join addresses a token holds.
	MaxAddrs     = 8
	maxAddrLen   = 255
	maxTokenText = 8 << 10
)

// Token is an invitation, read. It holds a secret: do not log it.
type Token struct {
	// Addrs are the inviter's join addresses, host:port.
	Addrs []string
	// Inviter is the key that the inviter must prove.
	Inviter Fingerprint

	swarm  string // the first half of the swarm id
	secret []byte
}

// tokenID names an invitation without telling its secret.
func tokenID(secret []byte) string {
	sum := sha256.Sum256(append([]byte("mycoswarm token id v1\x00"), secret...))
	return hex.EncodeToString(sum[:8])
}

// forSwarm reports whether the token invites to the swarm id.
func (t Token) forSwarm(id SwarmID) bool {
	return len(id) == 4*swarmPart && t.swarm == string(id[:2*swarmPart])
}

// encode writes
//
//	"myco1" base32( length(2) inviter(32) swarm(16) secret(16) addrs checksum(4) )
//
// where length counts all bytes, and an address is 4 and 6 bytes (IPv4, port), 6 and
// 18 bytes (IPv6, port), or 1, a length byte and text.
func (t Token) encode() (string, error) {
	inviter, err := hex.DecodeString(string(t.Inviter))
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	swarm, err := hex.DecodeString(t.swarm)
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	b := append(append(append([]byte{0, 0}, inviter...), swarm...), t.secret...)
	for _, a := range t.Addrs {
		b = appendAddr(b, a)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)+tokenSum))
	sum := sha256.Sum256(b)
	return tokenPrefix + wordEncoding.EncodeToString(append(b, sum[:tokenSum]...)), nil
}

func appendAddr(b []byte, addr string) []byte {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || ap.Addr().Zone() != "" {
		return append(append(b, 1, byte(len(addr))), addr...)
	}
	ip := ap.Addr().Unmap()
	kind := byte(4)
	if ip.Is6() {
		kind = 6
	}
	return binary.BigEndian.AppendUint16(append(append(b, kind), ip.AsSlice()...), ap.Port())
}

// ParseToken reads a token as it was pasted: spaces, line breaks, quotes and case do
// not matter. It fails with ErrBadToken, and says whether the text is no token at
// all, cut short, or mistyped.
func ParseToken(text string) (Token, error) {
	if len(text) > maxTokenText {
		return Token{}, errBadToken("this is too long for a join token", nextCopy)
	}
	s := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("\"'`\u200b\ufeff", r) {
			return -1
		}
		return r
	}, strings.ToLower(text))
	switch {
	case s == "":
		return Token{}, errBadToken("the join token is empty", nextInvite)
	case !strings.HasPrefix(s, "myco"):
		return Token{}, errBadToken("this is not a join token: one begins with \"myco\"", nextInvite)
	case len(s) < len(tokenPrefix):
		return Token{}, errBadToken("the join token is cut short", nextCopy)
	case !strings.HasPrefix(s, tokenPrefix):
		return Token{}, errBadToken("this is not a join token that this version can read", nextInvite)
	}
	b, err := wordEncoding.DecodeString(s[len(tokenPrefix):])
	if err != nil {
		return Token{}, errBadToken("the join token is mistyped", nextCopy)
	}
	t, err := decodeToken(b)
	if err == nil && wordEncoding.EncodeToString(b) != s[len(tokenPrefix):] { // the last character's spare bits
		return Token{}, errBadToken("the join token is mistyped", nextCopy)
	}
	return t, err
}

// decodeToken reads the bytes of a token.
func decodeToken(b []byte) (Token, error) {
	const head = 2 + 2*sha256.Size // length, inviter, half a swarm id, secret
	if len(b) < 2 {
		return Token{}, errBadToken("the join token is cut short", nextCopy)
	}
	want := int(binary.BigEndian.Uint16(b))
	switch {
	case want < head+tokenSum:
		return Token{}, errBadToken("the join token is mistyped", nextCopy)
	case len(b) < want:
		missing := wordEncoding.EncodedLen(want) - wordEncoding.EncodedLen(len(b))
		return Token{}, errBadToken(fmt.Sprintf("the join token is cut short by about %d characters", missing), nextCopy)
	case len(b) > want:
		return Token{}, errBadToken("the join token has something else at its end", nextCopy)
	}
	sum := sha256.Sum256(b[:want-tokenSum])
	if !bytes.Equal(sum[:tokenSum], b[want-tokenSum:]) {
		return Token{}, errBadToken("the join token is mistyped", nextCopy)
	}
	t := Token{
		Inviter: Fingerprint(hex.EncodeToString(b[2:34])),
		swarm:   hex.EncodeToString(b[34:50]),
		secret:  bytes.Clone(b[50:head]),
	}
	var err error
	if t.Addrs, err = decodeAddrs(b[head : want-tokenSum]); err != nil {
		return Token{}, err
	}
	return t, nil
}

func decodeAddrs(b []byte) ([]string, error) {
	bad := errBadToken("the join token holds addresses that this version cannot read", nextInvite)
	var addrs []string
	for len(b) > 0 {
		kind, rest := b[0], b[1:]
		n := 0
		switch kind {
		case 4, 6:
			n = map[byte]int{4: 4, 6: 16}[kind] + 2
		case 1:
			if len(rest) == 0 {
				return nil, bad
			}
			n, rest = int(rest[0]), rest[1:]
		default:
			return nil, bad
		}
		if len(rest) < n || len(addrs) == MaxAddrs {
			return nil, bad
		}
		addr := string(rest[:n])
		if kind != 1 {
			ip, _ := netip.AddrFromSlice(rest[:n-2])
			addr = netip.AddrPortFrom(ip, binary.BigEndian.Uint16(rest[n-2:])).String()
		}
		if checkAddr(addr) != nil {
			return nil, bad
		}
		addrs, b = append(addrs, addr), rest[n:]
	}
	if len(addrs) == 0 {
		return nil, bad
	}
	return addrs, nil
}

// checkAddr accepts a host:port that another machine can dial.
func checkAddr(addr string) error {
	bad := func(why string) error {
		return &Error{Kind: ErrBadInput, Cause: fmt.Sprintf("%q is not an address to join at: %s", addr, why), Next: "give HOST:PORT"}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || len(addr) > maxAddrLen {
		return bad("it is no host and port")
	}
	if strings.ContainsFunc(addr, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return bad("it has characters that no address has")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return bad("the port is no number from 1 to 65535")
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		return bad("it stands for every address of this machine")
	}
	return nil
}

// ReadToken gives the token text that a flag value stands for: "-" reads stdin,
// "@FILE" reads a file, anything else is the token. Files keep tokens out of the
// process list and the shell's history. The text is not parsed. readFile returns the first
// limit bytes of a file.
func ReadToken(arg string, stdin io.Reader, readFile func(name string, limit int64) ([]byte, error)) (string, error) {
	var (
		b   []byte
		err error
	)
	switch {
	case arg == "-":
		if b, err = io.ReadAll(io.LimitReader(stdin, maxTokenText)); err != nil {
			return "", fmt.Errorf("read join token from standard input: %w", err)
		}
	case strings.HasPrefix(arg, "@"):
		if b, err = readFile(arg[1:], maxTokenText); err != nil {
			return "", &Error{Kind: ErrBadToken, Cause: "cannot read the join token's file", Err: err, Next: "give --join @FILE with a file that holds a token"}
		}
	default:
		b = []byte(arg)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", errBadToken("the join token is empty", nextInvite)
	}
	return s, nil
}

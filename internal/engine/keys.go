package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// keyFile is a file with the keys of engines, an address and its key a line; empty for none. It is read at each look, so a
// key that is mended there counts at once.
type keyFile string

// maxKeyFile is more than any file of keys has, in bytes.
const maxKeyFile = 1 << 20

// read returns the keys by the addresses of their engines, see addressOf. A file that is not there has none. Errors show no key.
func (f keyFile) read() (map[string]string, error) {
	if f == "" {
		return nil, nil
	}
	info, err := os.Stat(string(f))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission): // a folder on the way is closed
		return nil, fmt.Errorf("%w: put it into a folder that the user of mycod gets to, and that is in no home where mycod is a service of the machine", err)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxKeyFile:
		return nil, fmt.Errorf("%s is no file of lines such as: URL KEY", f)
	case info.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows":
		return nil, fmt.Errorf("%s is open to every user of this machine: chmod 600 %s", f, f)
	}
	data, err := atomicfile.Read(string(f))
	if err != nil {
		return nil, f.unreadable(err)
	}
	keys, n := map[string]string{}, 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) { // as some editors of Windows begin a file
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		u, err := parseAddress(words[0])
		if err != nil || len(words) != 2 || !isKey(words[1]) {
			return nil, fmt.Errorf("line %d of %s is not such as: URL KEY", n, f)
		}
		if other, twice := keys[addressOf(u)]; twice && other != words[1] {
			return nil, fmt.Errorf("line %d of %s has another key for the address of a line before it", n, f)
		}
		keys[addressOf(u)] = words[1]
	}
	return keys, nil
}

// unreadable says what to do about an error of reading f.
func (f keyFile) unreadable(err error) error {
	if !errors.Is(err, fs.ErrPermission) || runtime.GOOS == "windows" {
		return err
	}
	file := bus.ShellWord(string(f))
	return fmt.Errorf("%w: sudo chown %d %s && sudo chmod 600 %s", err, os.Getuid(), file, file)
}

// isKey reports whether s can be sent as a key, and is not an address that came after its key.
func isKey(s string) bool {
	return !strings.Contains(s, "://") && !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) })
}

// addressOf is the address of an engine without a user and a password.
func addressOf(u *url.URL) string {
	bare := *u
	bare.User = nil
	return bare.String()
}

// secret is the key of one engine. The nil secret is that of an engine which gets none.
type secret struct {
	file keyFile
	of   string                   // the engine's address, as addressOf has it
	had  atomic.Pointer[[]string] // its keys, the present one first; empty for none
}

// keptKeys is how many keys of an engine are known, so that they are not told: a request has the one of its beginning.
const keptKeys = 8

// renew takes the key that the file has now. Where that cannot be read, which is the error, the last one stays.
func (s *secret) renew() error {
	keys, err := s.file.read()
	if had := s.all(); err == nil && (len(had) == 0 || had[0] != keys[s.of]) {
		had = append([]string{keys[s.of]}, had...)
		had = had[:min(len(had), keptKeys)]
		s.had.Store(&had)
	}
	return err
}

// all returns the present key, and those before it.
func (s *secret) all() []string {
	if s == nil {
		return nil
	}
	if had := s.had.Load(); had != nil {
		return *had
	}
	return nil
}

// get returns the key; empty where there is none.
func (s *secret) get() string {
	if had := s.all(); len(had) > 0 {
		return had[0]
	}
	return ""
}

// hint says what to do where the engine refuses requests.
func (s *secret) hint() string {
	if s == nil || s.file == "" {
		return "if it wants a key: mycod --engine-keys FILE"
	}
	line := fmt.Sprintf("a line in %s (mode 0600): %s KEY", s.file, s.of)
	_, err := s.file.read()
	switch {
	case err != nil:
		return "mend the file of its key: " + err.Error()
	case s.get() != "":
		return "put a key that it takes into " + line
	}
	return "if it wants a key: " + line
}

// carriers are networks that are not public either: those of providers behind their routers, and of some VPNs.
var carriers = netip.MustParsePrefix("100.64.0.0/10")

// inTheOpen reports whether what is sent to u crosses public networks as it is: a public address of a network that this
// machine is on, as IPv6 gives one to each machine of a household, is near.
func inTheOpen(ctx context.Context, u *url.URL) bool {
	if u.Scheme != "http" || loopback(u.Hostname()) {
		return false
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return false
	}
	near, _ := net.InterfaceAddrs() // without them a warning too many
	return slices.ContainsFunc(all, func(a netip.Addr) bool {
		a = a.Unmap()
		return a.IsGlobalUnicast() && !a.IsPrivate() && !carriers.Contains(a) && !slices.ContainsFunc(near, func(n net.Addr) bool {
			link, ok := n.(*net.IPNet)
			return ok && link.Contains(a.AsSlice())
		})
	})
}

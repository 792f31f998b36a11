package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// probeTimeout is how long Find, and each look of a Watcher, waits for an engine. Twice this and
	// interval are under 5 s, the time in which a Watcher notices whatever happens.
	probeTimeout = 1500 * time.Millisecond
	// interval is how long a Watcher waits between two looks at an engine.
	interval = 1500 * time.Millisecond

	ollamaPort = "11434"
)

// Config says where to look for engines. The zero value looks for Ollama on this
// machine and has the demo model.
type Config struct {
	// URLs are engines of either kind, first ones first, before Ollama on this machine.
	URLs []string
	// Keys is a file with the keys of those that want one, a line each: URL KEY. It need not be there. Empty: no engine
	// gets a key.
	Keys string
	// NoDemo leaves out the embedded demo model, which otherwise serves as long as no
	// engine here has a model.
	NoDemo bool
	// Env reads the environment: OLLAMA_HOST says where Ollama is, as for Ollama's own
	// client, and OLLAMA_NUM_PARALLEL how many questions one on this machine answers at one time. Default os.Getenv.
	Env func(string) string
	// Interval is how long a Watcher waits between two looks. Default 1.5 s.
	Interval time.Duration
	// ProbeTimeout bounds each look. Default 1.5 s.
	ProbeTimeout time.Duration
}

// Validate reports an address that is none, as an Error with CodeInvalid.
func (c Config) Validate() error {
	_, err := c.targets()
	return err
}

func (c Config) withDefaults() Config {
	if c.Env == nil {
		c.Env = os.Getenv
	}
	if c.Keys != "" {
		if path, err := filepath.Abs(c.Keys); err == nil { // who reads of it may be in another folder
			c.Keys = path
		}
	}
	if c.Interval <= 0 {
		c.Interval = interval
	}
	if c.ProbeTimeout <= 0 {
		c.ProbeTimeout = probeTimeout
	}
	return c
}

// targets are the addresses to look at, in order, each once.
func (c Config) targets() ([]*url.URL, error) {
	c = c.withDefaults()
	var out []*url.URL
	seen := map[string]bool{}
	for _, raw := range append(append([]string(nil), c.URLs...), c.Env("OLLAMA_HOST")) {
		u, err := parseAddress(raw)
		if err != nil {
			return nil, err
		}
		if !seen[u.String()] {
			seen[u.String()] = true
			out = append(out, u)
		}
	}
	return out, nil
}

// names reports whether c asks for the engine at u, and does not only look for one there.
func (c Config) names(u *url.URL) bool {
	return slices.ContainsFunc(c.URLs, func(raw string) bool {
		named, err := parseAddress(raw)
		return err == nil && named.String() == u.String()
	})
}

// several reports whether an Ollama at u answers several questions at one time, by what is said here of those of this machine.
// One that was started with another environment is seen to, see Speeds.
func (c Config) several(u *url.URL) bool {
	n, err := strconv.Atoi(c.Env("OLLAMA_NUM_PARALLEL"))
	return err == nil && n > 1 && loopback(u.Hostname())
}

// oneAtATime are the families of models that Ollama lets answer one question at a time, whatever its environment says, and
// more that begin with nemotron_h; vectors, too, it makes one at a time: load in its server/sched.go.
var oneAtATime = []string{"mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe"}

// takesSeveral reports whether Ollama lets m answer several questions at one time, where it was told to.
func takesSeveral(m bus.ModelInfo) bool {
	return answers(nil, m) && !slices.Contains(oneAtATime, m.Family) && !strings.HasPrefix(m.Family, "nemotron_h")
}

// parseAddress reads an engine's address as Ollama reads OLLAMA_HOST: the scheme,
// the host and the port may each be missing. An address to listen on everywhere
// becomes loopback, and a /v1 at the end is dropped.
func parseAddress(raw string) (*url.URL, error) {
	bad := func(why string) error {
		return bus.Errorf(bus.CodeInvalid, "engine address %q: %s", withoutUser(raw), why).
			WithHint("give an address such as http://127.0.0.1:%s", ollamaPort)
	}
	s, port := strings.TrimSpace(raw), ollamaPort
	switch scheme, _, ok := strings.Cut(s, "://"); {
	case !ok:
		s = "http://" + s
	case strings.EqualFold(scheme, "http"):
		port = "80"
	case strings.EqualFold(scheme, "https"):
		port = "443"
	default:
		return nil, bad("only http and https can be spoken")
	}
	if at := strings.Index(s, "://") + 3; s[at:] == "" {
		s += "127.0.0.1"
	} else if ip := net.ParseIP(s[at:]); ip != nil && ip.To4() == nil {
		s = s[:at] + "[" + s[at:] + "]"
	}
	u, err := url.Parse(s)
	if err != nil {
		if strings.Contains(raw, "@") { // the cause may quote what is a part of a password
			return nil, bad("it is not a URL")
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, bad(err.Error())
	}
	host, zone, zoned := strings.Cut(u.Hostname(), "%")
	if host = strings.ToLower(host); zoned {
		host += "%" + zone
	}
	if p := u.Port(); p != "" {
		port = p
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	return &url.URL{Scheme: u.Scheme, User: u.User, Host: net.JoinHostPort(host, port), Path: strings.TrimRight(path, "/")}, nil
}

// withoutUser leaves a user and password out of an address that may be none.
func withoutUser(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		scheme, rest = "", raw
	} else {
		scheme += "://"
	}
	return scheme + rest[strings.LastIndexByte(rest, '@')+1:]
}

// probe tells what kind of engine answers at u: it asks for what Ollama alone has, its version, and for
// its list of models; where these are missing, for OpenAI's list. It returns an Error: CodeUnavailable when
// nothing answers or nothing that runs models, CodeTimeout when it takes too long.
func probe(ctx context.Context, u *url.URL, key *secret) (Engine, error) {
	kind, err := kindOf(ctx, newClient("engine", u, key))
	switch {
	case err != nil:
		return nil, err
	case kind == KindOllama:
		return newOllama(u, key), nil
	}
	return newOpenAI(u, key), nil
}

// kindOf goes on to OpenAI's list where a server refuses what Ollama alone has: a gateway may refuse each path that it does
// not know.
func kindOf(ctx context.Context, c *client) (string, error) {
	var version struct{ Version string }
	var tags struct{ Models json.RawMessage }
	err := c.get(ctx, "/api/version", &version)
	if err == nil {
		err = c.get(ctx, "/api/tags", &tags)
	}
	refusal := err
	switch {
	case err == nil && version.Version != "" && tags.Models != nil:
		return KindOllama, nil
	case err == nil, answered(err):
		refusal = nil
	case !errors.Is(err, errRefuses):
		return "", err
	}
	var list struct{ Data json.RawMessage }
	err = c.get(ctx, "/v1/models", &list)
	switch {
	case err == nil && list.Data != nil:
		return KindOpenAI, nil
	case refusal != nil:
		return "", refusal
	case err != nil && !answered(err):
		return "", err
	}
	return "", bus.Errorf(bus.CodeUnavailable, "what answers at %s is neither Ollama nor an OpenAI-compatible server", c.base.Redacted()).
		WithHint("check the address: GET /api/tags or /v1/models must list models")
}

// answered reports whether an error means that a server is there and has something
// else than was asked for at that path.
func answered(err error) bool {
	var e *bus.Error
	if errors.As(err, &e) && (e.Code == bus.CodeNotFound || e.Code == bus.CodeInvalid) {
		return true
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind)
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// Environment variables that Dial reads.
const (
	EnvURL     = "MYCO_URL"      // NATS URL of the daemon, in place of daemon.json
	EnvCreds   = "MYCO_CREDS"    // file with the nkey seed to present
	EnvDataDir = "MYCO_DATA_DIR" // the daemon's data directory
)

// Times of the link to the daemon, which is on this machine.
const (
	// connectLimit is how long Dial waits for a daemon that accepts and says nothing.
	connectLimit = 5 * time.Second
	// reconnectWait is the pause between tries to find a daemon that went away.
	reconnectWait = 100 * time.Millisecond
	// refusalMost is the longest pause where it refuses the credentials.
	refusalMost = 2 * time.Second
)

// Option changes how Dial finds its daemon.
type Option func(*dialer)

// WithDataDir looks for the daemon's files in dir, whatever the environment says.
func WithDataDir(dir string) Option { return func(d *dialer) { d.dir, d.url = dir, "" } }

// WithURL connects to a NATS URL with the nkey seed in the file creds, whatever the environment
// says. It serves where the daemon's files are not at hand.
func WithURL(url, creds string) Option { return func(d *dialer) { d.url, d.creds = url, creds } }

// WithName names the program in the daemon's list of connections. The default is the name of
// the executable.
func WithName(name string) Option { return func(d *dialer) { d.name = name } }

// WithLogger tells where the Conn logs lost and found daemons, and with their stacks the panics of handlers.
// The default discards.
func WithLogger(log *slog.Logger) Option { return func(d *dialer) { d.log = log } }

// homeless is where a daemon keeps its data whose user has no home: in the folder that it is started in.
const homeless = "mycoswarm-data"

// DefaultDataDir returns where a daemon keeps its data unless told otherwise: MYCO_DATA_DIR,
// else mycoswarm under XDG_STATE_HOME, else ~/.local/state/mycoswarm, with HomeDir for ~.
func DefaultDataDir() string {
	if dir := os.Getenv(EnvDataDir); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mycoswarm")
	}
	home, err := HomeDir()
	if err != nil {
		return homeless
	}
	if os.Getenv("HOME") == "" && runtime.GOOS != "windows" {
		// Programs of before took that folder wherever the environment named no home: what is there goes on.
		if _, err := os.Stat(filepath.Join(homeless, "identity")); err == nil {
			return homeless
		}
	}
	return filepath.Join(home, ".local", "state", "mycoswarm")
}

// SystemDataDir is where a daemon keeps its data that is a service of the machine. Its user and root may
// read it. There is none on Windows.
const SystemDataDir = "/var/lib/mycoswarm"

// FindDataDir returns the data directory of the daemon that a client talks to unless told otherwise:
// DefaultDataDir, or SystemDataDir where MYCO_DATA_DIR is not set, no daemon has left word in the first and
// one has in the second.
func FindDataDir() string {
	if runtime.GOOS == "windows" { // there everybody could make such a folder
		return DefaultDataDir()
	}
	return findDataDir(SystemDataDir)
}

func findDataDir(system string) string {
	dir := DefaultDataDir()
	if os.Getenv(EnvDataDir) != "" || left(dir) || !left(system) {
		return dir
	}
	return system
}

// left reports whether a daemon has left word in dir that this user may read.
func left(dir string) bool {
	f, err := os.Open(filepath.Join(dir, DaemonFile))
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// ReadDaemonInfo reads the file daemon.json in dir. Without one the error has CodeUnavailable:
// no daemon runs there.
func ReadDaemonInfo(dir string) (DaemonInfo, error) {
	var info DaemonInfo
	path := filepath.Join(dir, DaemonFile)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return info, Errorf(CodeUnavailable, "no daemon is running: %w", err).WithHint("%s", startCommand(dir))
	case errors.Is(err, fs.ErrPermission):
		return info, Errorf(CodeForbidden, "cannot read the daemon's files: %w", err).
			WithHint("run this as the user that runs mycod, or set %s and %s", EnvURL, EnvCreds)
	case err != nil:
		return info, Errorf(CodeUnavailable, "cannot read the daemon's files: %w", err).
			WithHint("%s", startCommand(dir))
	}
	if err := Unmarshal(b, &info); err != nil {
		return info, Errorf(CodeUnavailable, "%s is damaged: %w", path, err).
			WithHint("restart the daemon: %s", startCommand(dir))
	}
	if u, err := url.Parse(info.BusURL); err != nil || u.Host == "" {
		return info, Errorf(CodeUnavailable, "%s names no bus_url", path).
			WithHint("restart the daemon: %s", startCommand(dir))
	}
	return info, nil
}

// startCommand is what a person types to start the daemon of dir.
func startCommand(dir string) string {
	switch dir {
	case DefaultDataDir():
		if _, err := os.Stat(filepath.Join(SystemDataDir, DaemonFile)); errors.Is(err, fs.ErrPermission) {
			return "mycod; or, to use the service of this machine: sudo usermod -aG mycoswarm $USER, and log in anew"
		}
		return "mycod"
	case SystemDataDir:
		return "systemctl start mycod"
	}
	return "mycod --data-dir " + ShellWord(dir)
}

// dialer is what the options say of how to find the daemon.
type dialer struct {
	dir   string
	url   string
	creds string
	name  string
	log   *slog.Logger
	limit time.Duration // for the daemon to answer
}

// target returns where the daemon is now, and of which node it says it is; that is empty where a URL was given.
func (d *dialer) target() (string, NodeID, error) {
	if d.url != "" {
		return d.url, "", nil
	}
	info, err := ReadDaemonInfo(d.dir)
	return info.BusURL, info.NodeID, err
}

// Dial connects to the daemon of this machine, with the credentials that it wrote for its
// user. It looks at the options first, then at MYCO_URL with MYCO_CREDS, then into the data
// directory (see FindDataDir).
//
// The error has CodeUnavailable where no daemon is found, CodeTimeout where one is there and does not answer
// within 5 s, and CodeForbidden where the credentials cannot be read or are refused; its hint is the next
// command to try.
func Dial(ctx context.Context, opts ...Option) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, endOf(ctx)
	}
	d := &dialer{
		url: os.Getenv(EnvURL), creds: os.Getenv(EnvCreds), dir: FindDataDir(),
		name: filepath.Base(os.Args[0]), log: slog.New(slog.DiscardHandler), limit: connectLimit,
	}
	for _, o := range opts {
		o(d)
	}
	target, want, err := d.target()
	if err != nil {
		return nil, err
	}
	if d.creds == "" || d.url == "" {
		d.creds = filepath.Join(d.dir, UserCreds)
	}
	c := newConn(d)
	if err := c.connect(ctx, target); err != nil {
		return nil, err
	}
	if got := c.NodeID(); want != "" && got != want {
		c.Close()
		return nil, Errorf(CodeUnavailable, "%s names the daemon %s at %s, but %s answers there",
			filepath.Join(d.dir, DaemonFile), want, target, got).WithHint("%s", startCommand(d.dir))
	}
	return c, nil
}

// start is what to do where the daemon does not run.
func (d *dialer) start() string {
	if d.url != "" {
		return fmt.Sprintf("start mycod there, or unset %s", EnvURL)
	}
	return startCommand(d.dir)
}

// wsaeconnrefused is what Windows says of a port where nothing listens; winsock2.h.
const wsaeconnrefused = syscall.Errno(10061)

// explain turns an error of nats.Connect into one that tells what to do.
func (d *dialer) explain(ctx context.Context, target string, err error) error {
	start := d.start()
	switch {
	case ctx.Err() != nil:
		return endOf(ctx)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return Errorf(CodeForbidden, "the daemon at %s refuses the credentials in %s: %w", target, d.creds, err).
			WithHint("set %s to the file %s of that daemon", EnvCreds, UserCreds)
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return Errorf(CodeUnavailable, "what listens at %s is not mycod: %w", target, err).WithHint("%s", start)
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, wsaeconnrefused):
		return Errorf(CodeUnavailable, "no daemon is running: nothing listens at %s: %w", target, err).WithHint("%s", start)
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, os.ErrDeadlineExceeded):
		return d.silent(target, err)
	case errors.Is(err, nats.ErrNoInfoReceived):
		return Errorf(CodeUnavailable, "no daemon is running: what listens at %s is another program: %w", target, err).WithHint("%s", start)
	}
	return Errorf(CodeUnavailable, "cannot reach the daemon at %s: %w", target, err).WithHint("%s", start)
}

// silent tells of a daemon that takes connections and does not answer: it hangs, or it has ended, and
// another program has its port since.
func (d *dialer) silent(target string, err error) error {
	info, unknown := ReadDaemonInfo(d.dir)
	switch {
	case d.url != "" || unknown != nil || info.PID <= 0:
		return Errorf(CodeTimeout, "no answer from the daemon at %s: %w", target, err).WithHint("myco doctor")
	case ended(info.PID):
		return Errorf(CodeUnavailable, "no daemon is running: its process %d has ended, and what listens at %s now is another program: %w",
			info.PID, target, err).WithHint("%s", startCommand(d.dir))
	}
	return Errorf(CodeTimeout, "no answer from the daemon at %s: %w; it is process %d", target, err, info.PID).WithHint("myco doctor")
}

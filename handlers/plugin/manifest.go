package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// ManifestName is the file in a plugin's folder that tells of it.
const ManifestName = "plugin.toml"

// Manifest is what plugin.toml says.
type Manifest struct {
	// Type is the kind of task that the plugin does.
	Type string `toml:"type"`
	// About tells people what it is, in one line.
	About string `toml:"about"`
	// Run is the program with its arguments. A program with a / in its name is in the plugin's folder.
	Run []string `toml:"run"`
	// Slots is how many tasks run at once, each in a process of its own. Default 1.
	Slots int `toml:"slots"`
	// Silence is how long a task may go without saying anything. Default 5 min.
	Silence duration `toml:"silence"`
	// Keep is how long a process waits for its next task. Default 10 min.
	Keep duration `toml:"keep"`
	// Memory is what the processes of one task may use together. Default 512 MiB.
	Memory size `toml:"memory"`
	// Nice is how far it steps back where others want the processor, beyond mycod: 0 to confine.MaxNice. Default 10.
	Nice int `toml:"nice"`
	// Unconfined lets the program do what mycod may.
	Unconfined bool `toml:"unconfined"`
	// Allow is what a confined one may do beside.
	Allow Allow `toml:"allow"`
}

// Allow is what a program may do, beside reading its own folder and the system's programs, and writing to a
// temporary one.
type Allow struct {
	Network   bool     `toml:"network"`
	Processes bool     `toml:"processes"`
	Read      []string `toml:"read"`
	Write     []string `toml:"write"`
}

// List tells of it in words, each grant in one.
func (a Allow) List() (out []string) {
	for what, is := range map[string]bool{"network": a.Network, "processes": a.Processes} {
		if is {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	for _, p := range a.Read {
		out = append(out, "read "+p)
	}
	for _, p := range a.Write {
		out = append(out, "write "+p)
	}
	return out
}

const (
	maxSlots       = 64
	maxManifest    = 64 << 10
	defaultSilence = 5 * time.Minute
	defaultKeep    = 10 * time.Minute
	defaultMemory  = 512 << 20
	defaultNice    = 10
	minMemory      = 64 << 20 // mycod itself, from which the program is made, takes half of it
)

// duration is a time such as "5m".
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil && v <= 0 {
		err = fmt.Errorf("%q is not more than nothing", text)
	}
	*d = duration(v)
	return err
}

// size is a number of bytes such as "512MiB" or "2GiB".
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(text []byte) error {
	for unit, shift := range map[string]int{"MiB": 20, "GiB": 30} {
		if digits, ok := strings.CutSuffix(string(text), unit); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err != nil || n <= 0 || n > 1<<20 {
				break
			}
			*s = size(n << shift)
			return nil
		}
	}
	return fmt.Errorf("%q is not a size such as 512MiB or 2GiB", text)
}

// read reads the manifest in dir. Its errors are CodeInvalid, or CodeForbidden where others may write what would
// run with the rights of this user.
func read(dir string) (Manifest, error) {
	m := Manifest{Slots: 1, Silence: duration(defaultSilence), Keep: duration(defaultKeep), Memory: defaultMemory, Nice: defaultNice}
	path := filepath.Join(dir, ManifestName)
	for _, p := range []string{dir, path} {
		if err := ownersOnly(p); err != nil {
			return m, err
		}
	}
	if info, err := os.Stat(path); err == nil && (!info.Mode().IsRegular() || info.Size() > maxManifest) {
		return m, bus.Errorf(bus.CodeInvalid, "%s is no file of at most %d KiB", path, maxManifest>>10)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return m, bus.Errorf(bus.CodeInvalid, "read the plugin: %w", err)
	}
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, bus.Errorf(bus.CodeInvalid, "%s%w", path, place(err))
	}
	if err := m.check(dir); errors.Is(err, &bus.Error{Code: bus.CodeForbidden}) {
		return m, err
	} else if err != nil {
		return m, bus.Errorf(bus.CodeInvalid, "%s: %w", path, err)
	}
	return m, nil
}

// place tells where in the file an error is.
func place(err error) error {
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		e := unknown.Errors[0]
		row, column := e.Position()
		return fmt.Errorf(":%d:%d: there is no setting %s", row, column, strings.Join(e.Key(), "."))
	case errors.As(err, &bad):
		row, column := bad.Position()
		return fmt.Errorf(":%d:%d: %s", row, column, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return fmt.Errorf(": %w", err)
}

func (m *Manifest) check(dir string) error {
	switch {
	case (bus.Task{Type: m.Type}).Validate() != nil:
		return (bus.Task{Type: m.Type}).Validate()
	case slices.Contains(bus.OwnTypes(), m.Type):
		return fmt.Errorf("mycod does tasks of type %q itself", m.Type)
	case len(m.Run) == 0 || m.Run[0] == "":
		return errors.New(`run is missing: the program and its arguments, as in run = ["./main.py"]`)
	case m.Slots < 1 || m.Slots > maxSlots:
		return fmt.Errorf("slots = %d: want 1 to %d", m.Slots, maxSlots)
	case m.Nice < 0 || m.Nice > confine.MaxNice:
		return fmt.Errorf("nice = %d: want 0 to %d", m.Nice, confine.MaxNice)
	case m.Memory < minMemory:
		return fmt.Errorf("memory is less than %d MiB", minMemory>>20)
	}
	for _, list := range [][]string{m.Allow.Read, m.Allow.Write} {
		for _, p := range list {
			if !filepath.IsAbs(p) {
				return fmt.Errorf("allow: %q does not begin with /", p)
			}
			if _, err := os.Stat(p); err != nil {
				return fmt.Errorf("allow: %w", err)
			}
		}
	}
	if err := m.changesNone(dir); err != nil {
		return err
	}
	for _, arg := range m.Run[1:] { // a script is a program as well
		script := filepath.Join(dir, arg)
		if info, err := os.Stat(script); err == nil && info.Mode().IsRegular() {
			if err := ownersOnly(script); err != nil {
				return err
			}
		}
	}
	if filepath.Base(m.Run[0]) == m.Run[0] {
		return nil
	}
	if !filepath.IsAbs(m.Run[0]) {
		m.Run[0] = filepath.Join(dir, m.Run[0])
	}
	info, err := os.Stat(m.Run[0])
	if err == nil {
		err = isProgram(m.Run[0], info)
	}
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return ownersOnly(m.Run[0])
}

// ownersOnly refuses what others than this user, or root, may write: it would run with this user's rights.
func ownersOnly(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return bus.Errorf(bus.CodeInvalid, "read the plugin: %w", err)
	}
	if others(info) {
		return bus.Errorf(bus.CodeForbidden, "%s belongs to another user, who may change what runs here", path).WithHint("chown it to the user of mycod")
	}
	if othersWrite(info) {
		return bus.Errorf(bus.CodeForbidden, "%s may be written by others than its owner", path).WithHint("chmod go-w %s", path)
	}
	return nil
}

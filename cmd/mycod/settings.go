package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
)

// envConfig names the file of settings, as --config does.
const envConfig = "MYCO_CONFIG"

// maxSettings is more than any file of settings has, in bytes.
const maxSettings = 1 << 20

// noSetting are flags that a file cannot set, and why.
var noSetting = map[string]string{
	"config":   "this is that file",
	"data-dir": "myco would look elsewhere. Give both MYCO_DATA_DIR, or mycod --data-dir DIR and myco --data-dir DIR",
	"help":     "it is for the command line",
	"join":     "a token is good for one machine, once: mycod --join TOKEN",
	"version":  "it is for the command line",
}

// settings are the flags that a file sets: what the command line gives comes before them.
type settings struct {
	path   string
	values map[string]any
	now    string // the flag that kong reads the value of
}

// BeforeResolve reads the file of settings, for the command that runs a node.
func (c *cli) BeforeResolve(life context.Context, ctx *kong.Context) error {
	if s := ctx.Selected(); s == nil || s.Name != "run" {
		return nil
	}
	named := os.Getenv(envConfig)
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "config" {
			named, _ = ctx.FlagValue(p.Flag).(string)
		}
	}
	path := cmp.Or(named, settingsPath())
	if path == "" {
		return nil
	}
	data, err := input.ReadFile(life, path, maxSettings)
	if errors.Is(err, fs.ErrNotExist) && named == "" {
		return nil
	}
	if whole, e := filepath.Abs(path); e == nil && errors.Is(err, fs.ErrNotExist) { // it tells where the file was looked for
		err = &fs.PathError{Op: "open", Path: whole, Err: fs.ErrNotExist}
	}
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	s := &settings{path: path}
	if s.values, err = readSettings(data, ctx.Model.Flags); err != nil {
		return fmt.Errorf("%s%w", path, err)
	}
	c.settings = s
	ctx.AddResolver(s)
	return nil
}

// unparsed tells what to do about an error of flags and settings. A file that a person has made for a service or a container is
// often that person's alone.
func unparsed(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "let the user as which mycod runs read that file, as chmod a+r does, or name another: mycod --config FILE"
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "make that file, or leave --config and " + envConfig + " out: mycod runs without settings, too"
	}
	return "mycod --help"
}

// readSettings returns the values by the names of flags. Its errors begin with ":LINE:COLUMN: ".
func readSettings(data []byte, flags []*kong.Flag) (map[string]any, error) {
	fields := make([]reflect.StructField, len(flags))
	for i, f := range flags {
		fields[i] = reflect.StructField{
			Name: fmt.Sprintf("F%d", i), Type: reflect.TypeFor[any](), Tag: reflect.StructTag(fmt.Sprintf("toml:%q", f.Name)),
		}
	}
	into := reflect.New(reflect.StructOf(fields))
	// Some editors of Windows begin a file with a byte order mark.
	d := toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	d.DisallowUnknownFields()
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch err := d.Decode(into.Interface()); {
	case errors.As(err, &unknown):
		row, column := unknown.Errors[0].Position()
		return nil, fmt.Errorf(":%d:%d: there is no setting %q. They are the flags of mycod --help, without dashes before them",
			row, column, strings.Join(unknown.Errors[0].Key(), "."))
	case errors.As(err, &bad):
		row, column := bad.Position()
		return nil, fmt.Errorf(":%d:%d: %s", row, column, strings.TrimPrefix(bad.Error(), "toml: "))
	case err != nil:
		return nil, fmt.Errorf(": %w", err)
	}
	values := map[string]any{}
	for i, f := range flags {
		v := into.Elem().Field(i).Interface()
		if v == nil {
			continue
		}
		if why := noSetting[f.Name]; why != "" {
			return nil, fmt.Errorf(": %s cannot be set here: %s", f.Name, why)
		}
		if err := suits(f, v); err != nil {
			return nil, fmt.Errorf(": %s: %w", f.Name, err)
		}
		values[f.Name] = v
	}
	return values, nil
}

// suits tells whether v is of the kind that the flag is; what it says is the flag's to judge.
func suits(f *kong.Flag, v any) error {
	list, isList := v.([]any)
	_, isText := v.(string)
	_, isBool := v.(bool)
	_, isNumber := v.(int64)
	wanted := f.Target.Type()
	if wanted.Kind() == reflect.Pointer {
		wanted = wanted.Elem()
	}
	switch {
	case f.IsBool() && !isBool:
		return errors.New("want true or false")
	case f.IsBool():
	case f.IsSlice() && isList:
		for _, e := range list {
			if _, ok := e.(string); !ok {
				return fmt.Errorf("want a list of texts, such as [%q]", f.PlaceHolder)
			}
		}
	case isText, isNumber && wanted.Kind() == reflect.Int:
	case wanted.Kind() == reflect.Int:
		return errors.New("want a whole number")
	case wanted == reflect.TypeFor[time.Duration]():
		return errors.New(`want a time in quotes, such as "90s"`)
	default:
		return fmt.Errorf("want a text in quotes, such as %q", f.PlaceHolder)
	}
	return nil
}

// Validate implements kong.Resolver.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (s *settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	v, ok := s.values[flag.Name]
	if !ok {
		return nil, nil
	}
	s.now = flag.Name
	if text, isText := v.(string); isText && slices.Contains(files, flag.Name) {
		return inHome(text), nil
	}
	return v, nil
}

// files are the settings that name a file or a folder. On a command line a shell puts the home for ~/.
var files = []string{"engine-keys", "log-file", "plugins", "tls-cert", "tls-key"}

func inHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := bus.HomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// blame makes an error of reading the command line one of the file, where it is of a value there.
func (s *settings) blame(err error) error {
	if s == nil || s.now == "" {
		return err
	}
	if what, ok := strings.CutPrefix(err.Error(), "--"+s.now); ok {
		return fmt.Errorf("%s: %s%s", s.path, s.now, what)
	}
	return err
}

// explain names the file beside an error of settings that do not go together.
func (s *settings) explain(err error) error {
	var e *bus.Error
	if s == nil || len(s.values) == 0 || !errors.As(err, &e) || e.Code != bus.CodeInvalid {
		return err
	}
	return bus.Errorf(e.Code, "%w (there are settings in %s)", err, s.path).WithHint("%s", e.Hint)
}

// settingsPath is the file of settings that is read if it is there; empty where there is no place for one.
func settingsPath() string { return inConfigDir("config.toml") }

// inConfigDir is a file or folder of mycod's configuration; empty where there is no place for one.
func inConfigDir(name string) string {
	if dir := serviceDir("CONFIGURATION_DIRECTORY"); dir != "" {
		return filepath.Join(dir, name)
	}
	home := configHome()
	if home == "" {
		return ""
	}
	return filepath.Join(home, "mycoswarm", name)
}

// configHome is the folder of this user's configuration; empty where there is none.
func configHome() string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	home, err := bus.HomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".config")
}

package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Found is a plugin's folder, with what is wrong with it.
type Found struct {
	Name, Dir string
	Manifest  Manifest
	Err       error
	// State is another where its plugin.toml, or a program that this names, was written since.
	State string
}

// Is reports whether nothing about it has changed since other was found.
func (f Found) Is(other Found) bool {
	return f.State == other.State && (f.Err == nil) == (other.Err == nil) && (f.Err == nil || f.Err.Error() == other.Err.Error())
}

// Find reads the plugins in dir, a folder each, in the order of their names. A folder that is not there has none.
func Find(dir string) ([]Found, error) {
	dir, err := filepath.Abs(dir) // programs run in folders of their own
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "read the plugins: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "read the plugins: %w", err).
			WithHint("let the user that runs mycod read that folder, or name another: mycod --plugins DIR, or --no-plugins")
	}
	replaceable := ownersOnly(dir)
	var out []Found
	of := map[string]string{} // by type
	for _, e := range entries {
		f := Found{Name: e.Name(), Dir: filepath.Join(dir, e.Name())}
		if info, err := os.Stat(f.Dir); err != nil || !info.IsDir() || strings.HasPrefix(f.Name, ".") {
			continue
		}
		before := state(filepath.Join(f.Dir, ManifestName)) // what is written while it is read shows the next time
		f.Manifest, f.Err = read(f.Dir)
		if f.Err == nil {
			f.Err = replaceable
		}
		if other := of[f.Manifest.Type]; f.Err == nil && other != "" {
			f.Err = bus.Errorf(bus.CodeConflict, "the plugin %s does tasks of type %q already", other, f.Manifest.Type)
		}
		if f.Err == nil {
			of[f.Manifest.Type] = f.Name
		}
		f.State = before + state(f.Manifest.programs(f.Dir)...)
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Found) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// state tells one state of files from another.
func state(paths ...string) string {
	var b strings.Builder
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", p, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// programs are the files in dir, the plugin's folder, that m has run: a program, and scripts among its arguments.
func (m *Manifest) programs(dir string) (out []string) {
	for i, arg := range m.Run {
		if i == 0 && filepath.Base(arg) == arg {
			continue // one of the system's
		}
		path := arg
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && (i == 0 || path != arg) {
			out = append(out, path)
		}
	}
	return out
}

// changesNone refuses that a plugin that is held back may write what tells what plugins may do, or what they are:
// it could let itself off.
func (m *Manifest) changesNone(dir string) error {
	if m.Unconfined {
		return nil
	}
	all, self := resolved(filepath.Dir(dir)), resolved(dir)
	for _, w := range m.Allow.Write {
		p := resolved(w)
		bad := within(all, p) || within(self, p) || filepath.Dir(p) == all || filepath.Base(p) == ManifestName
		for _, program := range m.programs(dir) {
			bad = bad || within(resolved(program), p)
		}
		if bad {
			return bus.Errorf(bus.CodeForbidden, "allow: who may write to %s may change what plugins are, and what they may do", w).
				WithHint("allow a folder in it: write = [%q]", filepath.Join(w, "data"))
		}
	}
	return nil
}

// resolved is path without links, where it is there.
func resolved(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return path
}

// within reports whether path is dir, or in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

package file

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
)

// compiled is what PDFium was compiled to: in memory, and in a folder, if there is one. wazero writes a file there
// under another name and then moves it, so that several processes may use the folder at one time.
type compiled struct {
	dir string // of nothing else

	mu    sync.Mutex
	cache wazero.CompilationCache // nil before the first PDF
}

// use calls start with it. A file that is damaged, or cannot be written, is none: it is made anew, in memory alone if
// it has to be. What earlier versions of mycod left is removed.
func (c *compiled) use(ctx context.Context, start func(wazero.CompilationCache) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.files()
	if c.cache == nil {
		c.cache = c.open()
	}
	err := start(c.cache)
	for _, retry := range []func() wazero.CompilationCache{c.anew, wazero.NewCompilationCache} {
		if err == nil || ctx.Err() != nil {
			break
		}
		_ = c.cache.Close(ctx) // what it had does not start
		c.cache = retry()
		err = start(c.cache)
	}
	c.tidy(before)
	return err
}

// none reports whether nothing was compiled yet.
func (c *compiled) none() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path := range c.files() {
		if !unfinished(path) {
			return false
		}
	}
	return c.cache == nil
}

// open returns what is kept in the folder; it stays in memory where there is no folder, or none can be made.
func (c *compiled) open() wazero.CompilationCache {
	if c.dir != "" {
		if cache, err := wazero.NewCompilationCacheWithDir(c.dir); err == nil {
			return cache
		}
	}
	return wazero.NewCompilationCache()
}

// anew is open without what was in the folder.
func (c *compiled) anew() wazero.CompilationCache {
	for path := range c.files() {
		_ = os.Remove(path) // what stays does not start either, and is then left alone
	}
	return c.open()
}

// tidy removes what was there before something was compiled: that is of another version, or of another processor.
// What a process writes at present has unfinished in its name, and stays while it is young.
func (c *compiled) tidy(before map[string]fs.FileInfo) {
	after := c.files()
	made := false
	for path := range after {
		_, was := before[path]
		made = made || !was && !unfinished(path)
	}
	for path, info := range before {
		if made && (!unfinished(path) || time.Since(info.ModTime()) > prepareTime) {
			_ = os.Remove(path) // it takes room, and does no harm
		}
	}
}

// unfinished reports whether a file is one that wazero has not moved to its place.
func unfinished(path string) bool { return strings.HasSuffix(path, ".tmp") }

// files are those in the folder, by their paths.
func (c *compiled) files() map[string]fs.FileInfo {
	out := map[string]fs.FileInfo{}
	if c.dir == "" {
		return out
	}
	_ = filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what cannot be read is not there
		}
		if info, err := d.Info(); err == nil {
			out[path] = info
		}
		return nil
	})
	return out
}

func (c *compiled) close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cache == nil {
		return nil
	}
	err := c.cache.Close(ctx)
	c.cache = nil
	return err
}

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// ignoreFiles name what does not count of the folder that they are in, as those of Git do; of two the later one decides.
var ignoreFiles = []string{".gitignore", ".ignore"}

// ignores are the patterns of the ignore files of a source, those of folders above first.
type ignores struct{ patterns []gitignore.Pattern }

// read takes in the ignore files of the folder rel of a source. What cannot be read ignores nothing.
func (i *ignores) read(source, rel string) error {
	var failed error
	for _, name := range ignoreFiles {
		b, err := readIgnore(filepath.Join(source, rel, name))
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				failed = errors.Join(failed, err)
			}
			continue
		}
		lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff"))))
		for lines.Scan() {
			if line := lines.Text(); strings.TrimSpace(line) != "" && line[0] != '#' {
				i.patterns = append(i.patterns, gitignore.ParsePattern(line, parts(rel)))
			}
		}
		failed = errors.Join(failed, lines.Err())
	}
	return failed
}

// readIgnore reads an ignore file. To open a pipe of that name would wait for who writes to it.
func readIgnore(path string) ([]byte, error) {
	i, err := os.Stat(path)
	if err == nil && !i.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// match tells whether the file or folder rel of the source is to be ignored.
func (i *ignores) match(rel string, isDir bool) bool {
	return len(i.patterns) > 0 && gitignore.NewMatcher(i.patterns).Match(parts(rel), isDir)
}

// parts are the names that a path is made of.
func parts(rel string) []string {
	if rel == "" {
		return nil
	}
	return strings.Split(rel, string(filepath.Separator))
}

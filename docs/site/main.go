// Command site makes the documentation as a website: a folder of HTML files that need no server
// and nothing from elsewhere.
//
//	go run ./docs/site -out DIR               write it
//	go run ./docs/site -serve 127.0.0.1:8000  look at it while writing: each page is made anew
//
// Its content is README.md, SECURITY.md, CONTRIBUTING.md and docs/; the help of myco and mycod,
// which it builds and asks; and the comments of package bus. A link that leads nowhere, to a file or
// to a heading, and a command or a flag that the programs do not have fail it with file and line. It
// owns how pages look and hang together, and says nothing of its own: what is wrong on a page is put
// right where the page comes from.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run makes the site that args ask for, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("site", flag.ContinueOnError)
	f.SetOutput(stderr)
	out := f.String("out", "", "write the site into this `folder`: an empty one, or one with an earlier site, which it replaces")
	serve := f.String("serve", "", "show the site at this `address`, as 127.0.0.1:8000; port 0 is any that is free")
	source := f.String("source", "", "where the repository is on the web, for links to its files (default: by the module's path in go.mod)")
	ref := f.String("ref", "main", "branch, tag or commit of the `files` that are linked there")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if f.NArg() > 0 || (*out == "") == (*serve == "") {
		fmt.Fprintln(stderr, "site: say either -out DIR or -serve HOST:PORT, and nothing else; -help tells more")
		return 2
	}
	err := func() error {
		root, module, err := findRoot(".")
		if err != nil {
			return err
		}
		if *source == "" {
			*source = "https://" + module
		}
		c := config{root: root, module: module, source: strings.TrimSuffix(*source, "/"), ref: *ref, order: order}
		if c.commands, err = askPrograms(ctx, root); err != nil {
			return err
		}
		if *serve != "" {
			return show(ctx, c, *serve, stdout)
		}
		files, err := render(c)
		if err != nil {
			return err
		}
		if err := write(*out, files); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%d files in %s: open %s\n", len(files), *out, filepath.Join(*out, "index.html"))
		return nil
	}()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// findRoot returns the folder of the module that dir lies in, and the module's path.
func findRoot(dir string) (root, module string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			for line := range strings.Lines(string(mod)) {
				if m, ok := strings.CutPrefix(line, "module "); ok {
					return dir, strings.TrimSpace(m), nil
				}
			}
			return "", "", fmt.Errorf("%s names no module", filepath.Join(dir, "go.mod"))
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", "", errors.New("there is no go.mod here or above: run it in the repository")
		}
		dir = up
	}
}

// mark is a file that tells a site from a folder with something else in it.
const mark = ".nojekyll"

// write puts files into dir, in place of an earlier site.
func write(dir string, files map[string][]byte) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, mark)); err != nil {
			return fmt.Errorf("%s is not empty and holds no earlier site: name an empty folder", dir)
		}
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // such as .git of a branch that holds the site
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

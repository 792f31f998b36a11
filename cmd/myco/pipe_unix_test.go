//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pipe makes a named pipe, and returns its path and what has whoever waits for it go on.
func pipe(t *testing.T, dir, name string) (path string, open func()) {
	t.Helper()
	path = filepath.Join(dir, name)
	must(t, syscall.Mkfifo(path, 0o600))
	return path, func() {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(t, err)
		must(t, w.Close())
	}
}

// interrupted wants a command to end as one that was interrupted, while nobody writes to the pipe that it is to read.
func (d *daemon) interrupted(ctx context.Context, open func(), args ...string) {
	d.t.Helper()
	ended := make(chan outcome, 1)
	go func() { ended <- d.mycoIn(ctx, "", args...) }()
	var o outcome
	select {
	case o = <-ended:
		open() // for who was left behind
	case <-time.After(limit):
		open()
		o = <-ended
		d.t.Errorf("%v goes on", args)
	}
	o.want(d.t, 130, "myco: interrupted")
	if o.out != "" {
		d.t.Errorf("printed %q", o.out)
	}
}

// To open a named pipe waits for who writes to it. One Ctrl-C ends that.
func TestInterruptedAtAPipe(t *testing.T) {
	t.Parallel()
	d := setup(t)
	path, open := pipe(t, d.dir, "pipe")
	over, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, args := range [][]string{{"ask", "--format", path, "hello"}, {"ask", "--image", path, "hello"}, {"join", "@" + path}, {"nodes", "recover", "@" + path}} {
		d.interrupted(over, open, args...)
	}

	one := filepath.Join(d.dir, "one.txt")
	writeFile(t, one, "one")
	ctx, interrupt := context.WithCancel(t.Context())
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any { // reads are under way
		interrupt()
		return bus.SubmitReply{ID: r.Task.ID}
	})
	d.interrupted(ctx, open, "read", one, path)
}

// What is written to a pipe is read as from a file.
func TestReadsAPipe(t *testing.T) {
	t.Parallel()
	d := setup(t)
	answering(d)
	path := filepath.Join(d.dir, "pipe")
	must(t, syscall.Mkfifo(path, 0o600))
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, []byte("of a pipe\n"), 0) }()
	if o := d.myco("read", path).want(t, 0); o.out != "of a pipe\n" {
		t.Errorf("printed %q", o.out)
	}
	must(t, <-written)
}

// A pipe in a folder, and one that has taken the place of a file, is no document: nobody waits for it.
func TestLibraryPassesOverPipes(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	file := filepath.Join(d.dir, "file.txt")
	writeFile(t, file, "of a file")
	d.myco("library", "add", "papers", dir, file).want(t, 0)
	l.took()
	must(t, os.Remove(file))
	for _, path := range []string{file, filepath.Join(dir, "pipe.txt"), filepath.Join(dir, ".gitignore")} {
		must(t, syscall.Mkfifo(path, 0o600))
	}
	ended := make(chan outcome, 1)
	go func() { ended <- d.myco("library", "update", "papers") }()
	select {
	case o := <-ended:
		o.want(t, 0, filepath.Join(dir, ".gitignore")+" is no file", "0 read now, 1 gone")
	case <-time.After(limit):
		t.Fatal("it waits for a pipe")
	}
}

// A picture that a program writes to a pipe is one.
func TestPictureOfAPipe(t *testing.T) {
	t.Parallel()
	d := setup(t)
	sight(d)
	got := answers(d, piece(1, 0, "A bee."), done(1, bus.InferenceResult{Text: "A bee.", Model: "llava:7b"}))
	from, content := aPicture(t, d.dir, "bee.png")
	b, err := os.ReadFile(from)
	must(t, err)
	path, _ := pipe(t, d.dir, "pipe")
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(path, b, 0o600) }()
	d.myco("ask", "--image", path, "What is on it?").want(t, 0)
	must(t, <-wrote)
	var req bus.InferenceRequest
	must(t, json.Unmarshal((<-got).Payload, &req))
	if len(req.Images) != 1 || !bytes.Equal(req.Images[0], content) {
		t.Errorf("the request has %d pictures", len(req.Images))
	}
}

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// offered are the handlers that a node has: types, as often as they were offered.
type offered struct {
	t    *testing.T
	now  []bus.Handler
	ever int
}

func (o *offered) Handle(_ context.Context, h bus.Handler) (func(), error) {
	o.now = append(o.now, h)
	o.ever++
	return func() { o.now = slices.DeleteFunc(o.now, func(x bus.Handler) bool { return x == h }) }, nil
}

// types tells what is offered, and for how many tasks at once.
func (o *offered) types() (out []string) {
	for _, h := range o.now {
		c, err := h.Capability(o.t.Context())
		if err != nil {
			o.t.Fatal(err)
		}
		out = append(out, c.Type)
	}
	return out
}

// watched is a folder of plugins under an own clock.
type watched struct {
	t *testing.T
	*plugins
	offered *offered
	now     time.Time
}

func watch(t *testing.T) *watched {
	t.Helper()
	p := &plugins{
		dir: t.TempDir(), temp: t.TempDir(), served: func(typ string) bool { return typ == "served" }, log: slog.New(slog.DiscardHandler),
		all: map[string]*known{}, news: map[string]*unread{},
	}
	p.config.Log = p.log
	w := &watched{t: t, plugins: p, offered: &offered{t: t}, now: time.Unix(1e9, 0)}
	w.offerAll(t.Context(), w.offered)
	t.Cleanup(p.close)
	return w
}

// write writes a file of a plugin, as who saves it in an editor, at a time that differs from all before.
func (w *watched) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // it may be a program
		w.t.Fatal(err)
	}
}

// after looks at the folder once d has passed, and returns what is offered then.
func (w *watched) after(d time.Duration) []string {
	w.t.Helper()
	w.now = w.now.Add(d)
	w.look(w.t.Context(), w.now)
	return w.offered.types()
}

func (w *watched) want(what string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %q is offered, want %q", what, got, want)
	}
}

const whole = "type = \"words\"\nunconfined = true\nrun = [\"sh\"]\n"

// What is being written does not count: neither what cannot be read yet, nor what can and lacks its rest.
func TestAPluginIsHalfWritten(t *testing.T) {
	w := watch(t)
	w.write("words/plugin.toml", "type = \"wor")
	w.want("the first bytes", w.after(0))
	w.write("words/plugin.toml", "type = \"wor\"\nunconfined = true\nrun = [\"sh\"]\n")
	w.want("what could be all", w.after(pluginsSettle))
	w.write("words/plugin.toml", whole)
	w.want("the rest", w.after(pluginsSettle))
	w.want("and a moment", w.after(pluginsSettle/2))
	w.want("and another", w.after(pluginsSettle/2), "words")

	// It goes on while it is written anew, and not for good where that is wrong.
	w.write("words/plugin.toml", "")
	w.want("an empty file", w.after(0), "words")
	w.write("words/plugin.toml", whole+"# saved\n")
	w.want("it is saved", w.after(pluginsSettle), "words")
	w.want("it is saved, and read", w.after(pluginsSettle), "words")
	if w.offered.ever != 2 {
		t.Errorf("offered %d times, want once for each state that lasted", w.offered.ever)
	}
	w.write("words/plugin.toml", "type = \"words\"\nslot = 3\n")
	w.want("a mistake", w.after(0), "words")
	w.want("a mistake that lasts", w.after(pluginsSettle))
	if list := w.list(); len(list) != 1 || list[0].Error == nil || list[0].Error.Code != bus.CodeInvalid {
		t.Errorf("a mistake is told as %+v", list)
	}
	w.after(time.Hour)
	if w.offered.ever != 2 {
		t.Error("what does not change is offered again")
	}
}

// What is too new is told of, and why it does nothing yet.
func TestAPluginIsNew(t *testing.T) {
	w := watch(t)
	w.write("words/plugin.toml", whole)
	w.after(0)
	if list := w.list(); len(list) != 1 || list[0].Type != "words" || list[0].Error == nil || list[0].Error.Code != bus.CodeUnavailable {
		t.Errorf("%+v", list)
	}
	if err := os.RemoveAll(filepath.Join(w.dir, "words")); err != nil {
		t.Fatal(err)
	}
	w.after(0)
	if list := w.list(); len(list) > 0 {
		t.Errorf("it went before it counted: %+v", list)
	}
}

// Of a plugin and a program that come with one type at one time, the second is refused: the node would give the type
// to whoever asked last, and the other would wait for tasks in vain.
func TestATypeHasOneOwner(t *testing.T) {
	w := watch(t)
	served := false
	w.served = func(string) bool { return served }
	w.write("words/plugin.toml", whole)
	w.after(0)
	looked := make(chan struct{})
	err := w.leaves("words", func() error {
		if w.mu.TryLock() {
			w.mu.Unlock()
			t.Error("a plugin may get the type while a program takes it")
		}
		go func() {
			defer close(looked)
			w.look(t.Context(), w.now.Add(pluginsSettle)) // it counts now
		}()
		served = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	<-looked
	w.want("a plugin of what a program took", w.offered.types())
	if list := w.list(); len(list) != 1 || !errors.Is(list[0].Error, &bus.Error{Code: bus.CodeConflict}) {
		t.Errorf("%+v, want a conflict", list)
	}

	served = false
	w.write("words/plugin.toml", whole+"# saved\n")
	w.after(0)
	w.want("the program went", w.after(2*pluginsSettle), "words")
	err = w.leaves("words", func() error {
		t.Error("a program takes what a plugin has")
		return nil
	})
	if !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
		t.Errorf("error %v, want a conflict", err)
	}
}

// A plugin that changes has another handler, and its program need not be another file. One that is away for a moment,
// as it is replaced, goes on.
func TestAPluginChanges(t *testing.T) {
	w := watch(t)
	w.write("words/plugin.toml", "type = \"words\"\nunconfined = true\nrun = [\"./main.exe\"]\n")
	w.write("words/main.exe", "one")
	w.after(0)
	w.want("it is there", w.after(pluginsSettle), "words")
	first := w.offered.now[0]
	w.write("words/main.exe", "another")
	w.after(0)
	w.want("its program has changed", w.after(pluginsSettle), "words")
	if w.offered.now[0] == first {
		t.Error("the old program goes on")
	}
	if err := os.Rename(filepath.Join(w.dir, "words"), filepath.Join(w.dir, ".words")); err != nil {
		t.Fatal(err)
	}
	w.want("it is away", w.after(0), "words")
	if err := os.Rename(filepath.Join(w.dir, ".words"), filepath.Join(w.dir, "words")); err != nil {
		t.Fatal(err)
	}
	w.want("it is back", w.after(pluginsSettle), "words")
	w.write("words/plugin.toml", "type = \"letters\"\nunconfined = true\nrun = [\"./main.exe\"]\n")
	w.after(0)
	w.want("another type", w.after(pluginsSettle), "letters")
	w.write("words/plugin.toml", "type = \"served\"\nunconfined = true\nrun = [\"./main.exe\"]\n")
	w.after(0)
	w.want("the type of a program", w.after(pluginsSettle))
	if list := w.list(); list[0].Error == nil || list[0].Error.Code != bus.CodeConflict {
		t.Errorf("the type of a program: %+v", list)
	}
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	w.after(0)
	w.after(pluginsSettle)
	if list := w.list(); len(list) > 0 {
		t.Errorf("the folder is gone: %+v", list)
	}
}

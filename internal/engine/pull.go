package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/mycoswarm/mycoswarm/bus"
)

// OllamaModels is the folder where the Ollama of this machine keeps its models, as far as it can be
// known: it may run as another user, with another environment.
func OllamaModels() string {
	if dir := os.Getenv("OLLAMA_MODELS"); dir != "" {
		return dir
	}
	var dirs []string
	if home, err := bus.HomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".ollama", "models"))
	}
	dirs = append(dirs, "/usr/share/ollama/.ollama/models", "/var/lib/ollama/models")
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return dirs[0]
}

// Pull has the server load a model from its registry, and hands each line of progress to emit but the
// last. It ends the work soon after ctx is done. CodeNotFound for a model that the registry does not
// have, CodeFailed for what else it says; others are as in Generate.
func (o *Ollama) Pull(ctx context.Context, req bus.PullRequest, emit func(bus.PullProgress) error) error {
	resp, err := o.c.do(ctx, http.MethodPost, "/api/pull", map[string]any{"model": req.Model, "insecure": req.Insecure, "stream": true})
	if e := bus.AsError(err); e != nil && e.Code == bus.CodeInvalid && e.Hint == "" {
		return e.WithHint("%s", checkName)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return o.readPull(ctx, resp.Body, req.Model, emit)
}

// readPull takes progress from the lines of a stream, up to the last.
func (o *Ollama) readPull(ctx context.Context, body io.Reader, model string, emit func(bus.PullProgress) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	for lines.Scan() {
		var line struct {
			bus.PullProgress
			Error string
		}
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return o.c.garbled(err)
		}
		switch {
		case line.Error != "":
			return o.pullFailed(line.Error, model)
		case line.Status == "success":
			return nil
		}
		line.Status, line.Digest = printed(o.c.hide(line.Status)), printed(line.Digest)
		if err := emit(line.PullProgress); err != nil {
			return err
		}
	}
	return o.c.ended(ctx, lines.Err(), "no line with the status success")
}

// checkName is what to do about a model that there is none of.
const checkName = "check the name: https://ollama.com/library"

// pullCauses tell why a pull failed, by words of Ollama's error, which are Go's and the system's own, and
// what to do about it; %s is the model. The first that fits counts.
var pullCauses = []struct {
	code       bus.Code
	says       string // what Ollama does, or does not
	next       string
	recognised *regexp.Regexp
}{
	{
		bus.CodeFailed, "has no room on its disk", "myco models and myco rm MODEL make room; or on another: myco pull %s --node NODE",
		regexp.MustCompile("no space left|not enough space|quota exceeded"),
	},
	{
		bus.CodeFailed, "does not trust the registry", "myco pull --insecure %s, if that registry is yours and has no TLS; else look at the machine's clock and certificates",
		regexp.MustCompile("x509:|tls: failed to verify|HTTP response to HTTPS client|look like a TLS handshake|insecure protocol"),
	},
	{
		bus.CodeFailed, "cannot reach the registry",
		"look at the network of Ollama's machine (behind a proxy, Ollama itself needs HTTPS_PROXY); then it goes on where it was: myco pull %s",
		regexp.MustCompile("no such host|name resolution|server misbehaving|unreachable|no route to host|connection re|timeout|deadline exceeded|part stalled|EOF$"),
	},
	{bus.CodeFailed, "is too old for this model", "update Ollama there, then: myco pull %s", regexp.MustCompile("newer version of Ollama")},
	{
		bus.CodeFailed, "may not have this model", "check the name, or give Ollama there an account that may: ollama signin",
		regexp.MustCompile("unauthorized|access denied"),
	},
	{
		bus.CodeFailed, "may not write its models", "give the user that runs Ollama its folder of models back, then: myco pull %s",
		regexp.MustCompile("permission denied|read-only file system"),
	},
	{bus.CodeNotFound, "finds no such model at the registry", checkName, regexp.MustCompile("file does not exist|not found")},
}

// pullFailed tells what Ollama said of a pull that failed, why, and what to do.
func (o *Ollama) pullFailed(says, model string) error {
	for _, c := range pullCauses {
		if c.recognised.MatchString(says) {
			return bus.Errorf(c.code, "%s %s: %s", o.c, c.says, o.c.hide(says)).WithHint("%s", strings.ReplaceAll(c.next, "%s", model))
		}
	}
	return bus.Errorf(bus.CodeFailed, "%s: %s", o.c, o.c.hide(says)).WithHint("Ollama's log there may tell more: journalctl -u ollama")
}

// printed is what an engine says as it may be shown on a terminal, at a length that a person reads.
func printed(s string) string {
	return shorten(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
}

// Delete removes a model. CodeNotFound where the server does not have it.
func (o *Ollama) Delete(ctx context.Context, model string) error {
	resp, err := o.c.do(ctx, http.MethodDelete, "/api/delete", map[string]string{"model": model})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// ollamas returns the engines that can pull and delete.
func (s *Set) ollamas() (out []*Ollama) {
	for _, e := range s.Engines() {
		if o, ok := e.(*Ollama); ok {
			out = append(out, o)
		}
	}
	return out
}

// errNoOllama is of a node whose Ollama has just gone.
var errNoOllama = bus.Errorf(bus.CodeNoWorker, "there is no Ollama here at present").WithHint("start it, or mycod --engine URL")

// Pulls reports whether there is an engine that can pull models; it must not block.
func (w *Watcher) Pulls() bool {
	s, _ := w.Watch()
	return len(s.ollamas()) > 0
}

// PullsHere reports whether what Pull asks runs on this machine.
func (w *Watcher) PullsHere() bool {
	s, _ := w.Watch()
	all := s.ollamas()
	return len(all) > 0 && loopback(all[0].c.base.Hostname())
}

// Pull has an engine pull a model: one that has it already, or the first that can. The result is the
// engine's address.
func (w *Watcher) Pull(ctx context.Context, req bus.PullRequest, emit func(bus.PullProgress) error) (string, error) {
	s, _ := w.Watch()
	all := s.ollamas()
	if len(all) == 0 {
		return "", errNoOllama
	}
	at := max(0, slices.IndexFunc(all, func(o *Ollama) bool { return s.has(o, req.Model) }))
	defer w.nudge() // the model is seen at once
	return all[at].URL(), all[at].Pull(ctx, req, emit)
}

// Delete removes a model from every engine here that has it. The result is the address of the first.
func (w *Watcher) Delete(ctx context.Context, model string) (string, error) {
	s, _ := w.Watch()
	all := slices.DeleteFunc(s.ollamas(), func(o *Ollama) bool { return !s.has(o, model) })
	if len(all) == 0 {
		return "", bus.Errorf(bus.CodeNotFound, "no engine here has the model %q", model).WithHint("myco models")
	}
	defer w.nudge()
	var errs error
	for _, o := range all {
		errs = errors.Join(errs, o.Delete(ctx, model))
	}
	if errs != nil && len(all) > 1 {
		return "", bus.AsError(errs)
	}
	return all[0].URL(), errs
}

// has reports whether an engine has a model.
func (s *Set) has(e Engine, model string) bool {
	return s != nil && slices.ContainsFunc(s.members, func(m member) bool {
		return m.engine == e && slices.ContainsFunc(m.models, func(info bus.ModelInfo) bool { return bus.SameModel(info.Name, model) })
	})
}

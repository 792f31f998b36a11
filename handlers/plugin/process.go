package plugin

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

const (
	// maxLine is the longest line that a program may say, in bytes.
	maxLine = 64 << 20
	// stopTime is how long a program may take to end a task that was cancelled.
	stopTime = 2 * time.Second
	// lookEvery is how often it is looked at how much memory a task uses.
	lookEvery = 100 * time.Millisecond
	// mapped is how much more than it may use a program may map, as runtimes do.
	mapped = 4
	// mappedMore is added to that, in bytes.
	mappedMore = 1 << 30
	// maxSaid is how much of what a program wrote to standard error at last is told in an error, in bytes.
	maxSaid = 1 << 10
	// maxLogged is how many lines of standard error go to the log while one task runs.
	maxLogged = 200
)

// request is the line that a program gets: a task, or that one is not wanted any more.
type request struct {
	ID      bus.TaskID      `json:"id,omitempty"`
	Type    string          `json:"type,omitempty"`
	Model   string          `json:"model,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Cancel  bus.TaskID      `json:"cancel,omitempty"`
}

// line is what a program says: one of output, phase, and the two ends, result and error. With the id of a task that
// is not the one at hand it is void.
type line struct {
	ID     bus.TaskID      `json:"id"`
	Output json.RawMessage `json:"output"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	Phase  string          `json:"phase"`
	Limit  string          `json:"limit"` // of the phase, as in "10m"
}

// goneError is that the process has ended by itself: before it was the plugin's program, where it did not start.
type goneError struct {
	why     string
	unbegun bool
}

func (e *goneError) Error() string { return e.why }

// process is one running program. It has one task at a time.
type process struct {
	h      *Handler
	cmd    *exec.Cmd
	cancel context.CancelFunc
	in     io.WriteCloser
	lines  chan []byte // closed when it says nothing more
	temp   string
	stderr tail
	ended  chan struct{} // closed when it has ended, with err set
	err    error
	timer  *time.Timer
	// spoilt is set where it is not to have another task.
	spoilt bool
}

// start runs the plugin's program.
func (h *Handler) start() (*process, error) {
	if err := os.MkdirAll(h.cfg.Temp, 0o700); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(h.cfg.Temp, "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background()) // it outlives the task
	p := &process{h: h, cancel: cancel, temp: temp, lines: make(chan []byte), ended: make(chan struct{}), stderr: tail{h: h}}
	if err := p.open(ctx); err != nil {
		cancel()
		_ = os.RemoveAll(temp) // New empties the folder
		return nil, err
	}
	return p, nil
}

func (p *process) open(ctx context.Context) error {
	m := p.h.Manifest
	env := []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + p.temp, "TMPDIR=" + p.temp}
	var err error
	if m.Unconfined {
		p.cmd = confine.Plain(ctx, p.h.Dir, env, m.Run)
	} else {
		p.cmd, err = confine.Command(ctx, p.h.cfg.Confiner, confine.Policy{
			Dir: p.h.Dir, Read: m.Allow.Read, Write: append([]string{p.temp}, m.Allow.Write...),
			Network: m.Allow.Network, Processes: m.Allow.Processes, Memory: mapped*int64(m.Memory) + mappedMore,
		}, env, m.Run)
	}
	if err != nil {
		return err
	}
	p.cmd.WaitDelay = stopTime
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, &p.stderr
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go p.read(r)
	go func() {
		p.err = p.cmd.Wait()
		if m.Allow.Processes {
			confine.EndGroup(p.cmd.Process.Pid)
		}
		_ = w.Close() // never an error, says io.PipeWriter
		close(p.ended)
	}()
	return nil
}

var errLongLine = fmt.Errorf("a line of it is longer than %d MiB", maxLine>>20)

// read passes on what the program says, line by line.
func (p *process) read(from *io.PipeReader) {
	defer close(p.lines)
	s := bufio.NewScanner(from)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		select {
		case p.lines <- bytes.Clone(s.Bytes()):
		case <-p.ended:
			return
		}
	}
	if s.Err() != nil {
		p.stderr.note(errLongLine.Error())
		_ = from.CloseWithError(errLongLine)
		p.cancel()
	}
}

// fresh reports whether the process can have a task: it is there, and has said nothing since the last one.
func (p *process) fresh() bool {
	if p.timer != nil {
		p.timer.Stop()
	}
	select {
	case <-p.ended:
		return false
	case said, open := <-p.lines:
		if open {
			p.h.cfg.Log.Warn("a plugin said something without a task", "plugin", p.h.Name, "line", fmt.Sprintf("%.200s", said))
		}
		return false
	default:
		return true
	}
}

func (p *process) idleFor(keep time.Duration, then func()) { p.timer = time.AfterFunc(keep, then) }

// end ends the process, with all that it has started, and returns when it is gone.
func (p *process) end() {
	p.cancel()
	<-p.ended
	if err := os.RemoveAll(p.temp); err != nil {
		p.h.cfg.Log.Debug("remove what a plugin wrote", "plugin", p.h.Name, "err", err)
	}
}

// run has the process do one task.
func (p *process) run(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	p.stderr.reset()
	say := request{ID: t.ID, Type: t.Type, Model: t.Model, Payload: t.Payload}
	if len(say.Payload) == 0 {
		say.Payload = json.RawMessage("null")
	}
	data, err := json.Marshal(say)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInternal, "encode the task: %w", err)
	}
	go func() { _, _ = p.in.Write(append(data, '\n')) }() // who does not read ends, or is ended
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case said, open := <-p.lines:
			if !open {
				return nil, p.gone()
			}
			if res, done, err := p.hear(ctx, t.ID, said, emit); done {
				return res, err
			}
		case <-look.C:
			if used := confine.Used(p.cmd.Process.Pid, p.h.Manifest.Allow.Processes); used > int64(p.h.Manifest.Memory) {
				p.spoilt = true
				p.cancel()
				return nil, bus.Errorf(bus.CodeFailed, "the plugin %s takes more than %d MiB of memory", p.h.Name, p.h.Manifest.Memory>>20).
					WithHint("memory in its %s", ManifestName)
			}
		case <-ctx.Done():
			p.stop(t.ID)
			return nil, context.Cause(ctx)
		}
	}
}

// hear takes in one line.
func (p *process) hear(ctx context.Context, id bus.TaskID, said []byte, emit bus.Emit) (res any, done bool, err error) {
	var l line
	if err := json.Unmarshal(said, &l); err != nil {
		return nil, true, p.wrong(said, err)
	}
	switch {
	case l.ID != "" && l.ID != id:
		p.h.cfg.Log.Debug("a plugin tells of another task", "plugin", p.h.Name, "task", l.ID, "now", id)
	case l.Error != nil:
		return nil, true, p.failed(said, l.Error)
	case l.Result != nil:
		return l.Result, true, nil
	case l.Output != nil:
		if err := emit(l.Output); err != nil {
			p.spoilt = true // it goes on with a task that nobody wants
			return nil, true, err
		}
	case l.Phase != "":
		limit, err := time.ParseDuration(cmp.Or(l.Limit, time.Duration(p.h.Manifest.Silence).String()))
		if err != nil || limit <= 0 {
			return nil, true, p.wrong(said, fmt.Errorf("limit %q is not a time", l.Limit))
		}
		bus.SetPhase(ctx, l.Phase, limit)
	default:
		return nil, true, p.wrong(said, errors.New("it has none of output, result, error and phase"))
	}
	return nil, false, nil
}

// wrong is for a line that is none of the protocol. Whatever follows it belongs to nothing.
func (p *process) wrong(said []byte, err error) error {
	p.spoilt = true
	return bus.Errorf(bus.CodeFailed, "the plugin %s said what cannot be read: %w: %.200q", p.h.Name, err, said)
}

// failed is the error that a program tells: a text, or an object with code, message and hint.
func (p *process) failed(said []byte, raw json.RawMessage) error {
	var text string
	e := bus.Error{Code: bus.CodeFailed}
	if json.Unmarshal(raw, &text) == nil {
		e.Message = text
	} else if err := json.Unmarshal(raw, &e); err != nil {
		return p.wrong(said, err)
	}
	e.Node = "" // the worker says which
	if e.Message == "" {
		e.Message = "the plugin " + p.h.Name + " failed, and does not say why"
	}
	switch e.Code {
	case bus.CodeInvalid, bus.CodeTooLarge, bus.CodeFailed:
		return &e
	case bus.CodeUnavailable:
		return bus.Retry(&e)
	}
	e.Code = bus.CodeFailed
	return &e
}

// stop tells the program that its task is not wanted any more, and waits a moment for its end.
func (p *process) stop(id bus.TaskID) {
	if data, err := json.Marshal(request{Cancel: id}); err == nil {
		go func() { _, _ = p.in.Write(append(data, '\n')) }() // as in run
	}
	limit := time.NewTimer(stopTime)
	defer limit.Stop()
	for {
		select {
		case said, open := <-p.lines:
			var l line
			if !open {
				p.spoilt = true
				return
			}
			if json.Unmarshal(said, &l) == nil && (l.Error != nil || l.Result != nil) {
				return
			}
		case <-limit.C:
			p.spoilt = true
			return
		}
	}
}

// gone tells how the process ended.
func (p *process) gone() error {
	p.spoilt = true
	p.cancel()
	<-p.ended
	why := "exit status 0"
	if p.err != nil {
		why = p.err.Error()
	}
	if said := p.stderr.last(); said != "" {
		why += ": " + said
	}
	exit, is := errors.AsType[*exec.ExitError](p.err)
	return &goneError{why, is && exit.ExitCode() == confine.ExitCode && !p.h.Manifest.Unconfined}
}

// tail is what a program writes to standard error: lines for the log, and the last of it for an error.
type tail struct {
	h *Handler

	mu     sync.Mutex
	buf    []byte
	logged int
	part   []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	t.buf = t.buf[max(0, len(t.buf)-maxSaid):]
	t.part = append(t.part, b...)
	for {
		l, rest, ok := bytes.Cut(t.part, []byte("\n"))
		if !ok {
			break
		}
		t.log(l)
		t.part = rest
	}
	if len(t.part) > maxSaid {
		t.log(t.part)
		t.part = nil
	}
	return len(b), nil
}

func (t *tail) log(l []byte) {
	switch t.logged++; {
	case t.logged < maxLogged:
		t.h.cfg.Log.Info("a plugin says", "plugin", t.h.Name, "line", string(l))
	case t.logged == maxLogged:
		t.h.cfg.Log.Info("a plugin says more than is logged", "plugin", t.h.Name, "lines", maxLogged)
	}
}

func (t *tail) note(text string) { _, _ = t.Write([]byte(text + "\n")) } // never an error

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf, t.logged = nil, 0
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}

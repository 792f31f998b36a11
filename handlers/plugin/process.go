package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

const (
	// stopTime is the default of Config.Stop.
	stopTime = 2 * time.Second
	// mapped is how much more than it may use a program may map, as runtimes do.
	mapped = 4
	// mappedMore is added to that, in bytes.
	mappedMore = 1 << 30
	// maxPhase is how much a program may tell of a phase, in bytes.
	maxPhase = 100
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
	// wrote is closed when it has read all that it was told.
	wrote chan struct{}
	busy  atomic.Bool
	begun chan struct{} // has one when it has got a task
	// over is why it was ended, where it took or said more than it may.
	over atomic.Pointer[bus.Error]
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
	p := &process{h: h, cancel: cancel, temp: temp, lines: make(chan []byte), ended: make(chan struct{}), begun: make(chan struct{}, 1), stderr: tail{h: h}}
	if err := p.open(ctx); err != nil {
		cancel()
		_ = removeAll(temp) // Clean empties the folder
		return nil, err
	}
	return p, nil
}

// command is what runs the plugin's program.
func (p *process) command(ctx context.Context) (*exec.Cmd, error) {
	m, env := p.h.Manifest, environment(p.temp)
	if m.Unconfined {
		return confine.Plain(ctx, p.h.Dir, env, m.Run), nil
	}
	return confine.Command(ctx, p.h.cfg.Confiner, confine.Policy{
		Dir: p.h.Dir, Read: m.Allow.Read, Write: append([]string{p.temp}, m.Allow.Write...),
		Network: m.Allow.Network, Processes: m.Allow.Processes, Memory: mapped*int64(m.Memory) + mappedMore, Nice: m.Nice,
	}, env, m.Run)
}

// open starts the program, and what goes with it as long as it runs.
func (p *process) open(ctx context.Context) (err error) {
	m := p.h.Manifest
	if p.cmd, err = p.command(ctx); err != nil {
		return err
	}
	p.cmd.WaitDelay = p.h.cfg.Stop
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, &p.stderr
	var guard *confine.Guard
	starts := m.Allow.Processes || m.Unconfined // others, which end with it unless they have left its group; only who is not confined can
	if starts && confine.Groups {
		if guard, err = confine.NewGuard(p.h.cfg.Confiner); err != nil {
			return err
		}
	}
	free, _ := p.h.cfg.disk()
	if err := p.cmd.Start(); err != nil {
		if guard != nil {
			guard.Close()
		}
		return confine.Unstarted(p.cmd.Path, err)
	}
	if m.Unconfined {
		if err := confine.Nice(p.cmd.Process.Pid, m.Nice); err != nil {
			p.h.cfg.Log.Warn("a plugin does not step back for others", "plugin", p.h.Name, "err", err)
		}
	}
	if guard != nil {
		if err := guard.Watch(p.cmd.Process.Pid); err != nil {
			p.h.cfg.Log.Warn("what a plugin starts may outlive this process", "plugin", p.h.Name, "err", err)
		}
	}
	go p.read(r)
	go p.watch(free)
	go func() {
		p.err = p.cmd.Wait()
		if starts {
			confine.EndGroup(p.cmd.Process.Pid)
		}
		if guard != nil {
			guard.Close()
		}
		_ = w.Close() // never an error, says io.PipeWriter
		close(p.ended)
	}()
	return nil
}

// tell writes a line to the program. Who does not read ends, or is ended.
func (p *process) tell(r request) error {
	data, err := json.Marshal(r)
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "encode the task: %w", err)
	}
	before, wrote := p.wrote, make(chan struct{})
	p.wrote = wrote
	go func() {
		defer close(wrote)
		if before != nil {
			<-before
		}
		_, _ = p.in.Write(append(data, '\n')) // it fails where the program has ended
	}()
	return nil
}

// hears reports whether the program has read, within a moment, all that it was told. Where it has not, that would be
// in the memory of this process for as long as it runs.
func (p *process) hears() bool {
	limit := time.NewTimer(p.h.cfg.Stop)
	defer limit.Stop()
	select {
	case <-p.wrote:
		return true
	case <-p.ended:
	case <-limit.C:
	}
	return false
}

// errLongLine is the end of a task whatever node has it: another would read no longer lines.
func (p *process) errLongLine() *bus.Error {
	return bus.Errorf(bus.CodeTooLarge, "the plugin %s said a line longer than %d MiB, the limit of a result", p.h.Name, maxLine>>20)
}

// read passes on what the program says, line by line.
func (p *process) read(from *io.PipeReader) {
	defer close(p.lines)
	in := newLines(from, maxLine)
	for {
		said, err := in.next()
		if errors.Is(err, errTooLong) {
			long := p.errLongLine()
			p.over.CompareAndSwap(nil, long)
			_ = from.CloseWithError(long)
			p.cancel()
		}
		if err != nil {
			return
		}
		select {
		case p.lines <- said:
		case <-p.ended:
			return
		}
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
	if err := removeAll(p.temp); err != nil {
		p.h.cfg.Log.Debug("remove what a plugin wrote", "plugin", p.h.Name, "err", err)
	}
}

// run has the process do one task.
func (p *process) run(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	p.stderr.reset()
	p.busy.Store(true)
	select {
	case p.begun <- struct{}{}:
	default:
	}
	defer p.busy.Store(false)
	r := request{ID: t.ID, Type: t.Type, Model: t.Model, Payload: t.Payload}
	if len(r.Payload) == 0 {
		r.Payload = json.RawMessage("null")
	}
	if err := p.tell(r); err != nil {
		return nil, err
	}
	for {
		select {
		case said, open := <-p.lines:
			if !open {
				return nil, p.gone()
			}
			if res, done, err := p.hear(ctx, t.ID, said, emit); done {
				p.spoilt = p.spoilt || !p.hears()
				return res, err
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
	case given(l.Error):
		return nil, true, p.failed(said, l.Error)
	case l.Result != nil && given(l.Output):
		return nil, true, p.wrong(said, errors.New("it has output and a result: want a line for each"))
	case l.Result != nil:
		return l.Result, true, nil
	case l.Output != nil:
		if err := emit(l.Output); err != nil {
			p.spoilt = true // it goes on with a task that nobody wants
			return nil, true, err
		}
	case len(l.Phase) > maxPhase:
		return nil, true, p.wrong(said, fmt.Errorf("a phase is longer than %d bytes", maxPhase))
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

// given reports whether a field is there. Programs that fill in a form write null for what they do not say.
func given(field json.RawMessage) bool { return field != nil && string(field) != "null" }

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
	e = *e.Short()
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
	if p.tell(request{Cancel: id}) != nil {
		p.spoilt = true
		return
	}
	limit := time.NewTimer(p.h.cfg.Stop)
	defer limit.Stop()
	for {
		select {
		case said, open := <-p.lines:
			var l line
			if !open {
				p.spoilt = true
				return
			}
			if json.Unmarshal(said, &l) == nil && (given(l.Error) || l.Result != nil) {
				p.spoilt = p.spoilt || !p.hears()
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
	if over := p.over.Load(); over != nil {
		return over
	}
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

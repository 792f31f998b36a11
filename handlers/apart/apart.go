// Package apart has work done in a process of its own: reading what was made elsewhere, and perhaps to
// trouble whoever reads it. Two megabytes of HTML can keep a library busy for hours, and a goroutine cannot be
// ended; a process can.
package apart

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// memoryEvery is how often the process looks at how much memory it uses.
const memoryEvery = 10 * time.Millisecond

// mostSaid is how much it may say, in bytes: what is read becomes 16 MiB of text at most, of which JSON may make six times as
// much, and whoever started it has all of that in memory, more than once.
const mostSaid = 128 << 20

// Program is what the work is done in.
type Program struct {
	// Argv is the program, with its arguments, that is Main.
	Argv []string
	// Time is how long it may take, from its start.
	Time time.Duration
	// Memory is what it may use, in bytes; from half of it on it works at using less.
	Memory int64
	// Write are folders that it may write to. It sees no other files than the system's and these, and has no sockets
	// and no children, where package confine can see to that.
	Write []string
}

// LimitError is the error for work that took more than it may, or whose process ended in another way. It tells
// of the work, which would go the same way elsewhere.
type LimitError struct{ cause error }

func (e *LimitError) Error() string { return e.cause.Error() }
func (e *LimitError) Unwrap() error { return e.cause }

// errLong ends the process.
var errLong = errors.New("it takes too long")

// order is the first line of what the process is given; the body follows.
type order struct {
	Time   time.Duration   `json:"time"` // at which it ends by itself, where nobody is left to end it
	Memory int64           `json:"memory"`
	Write  []string        `json:"write,omitempty"`
	Job    json.RawMessage `json:"job"`
}

// outcome is what it says: one of the three.
type outcome struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  *bus.Error      `json:"error,omitempty"`
	Retry  bool            `json:"retry,omitempty"` // Error is marked by bus.Retry
	Limit  string          `json:"limit,omitempty"`
}

// Do has job done, which is encoded as JSON, with body beside it, and decodes what Main's function returned
// into result. Its error is that of the function, a *LimitError, or the cause of ctx.
func (p Program) Do(ctx context.Context, job any, body []byte, result any) error {
	raw, err := json.Marshal(job)
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "encode what to do: %w", err)
	}
	head, err := json.Marshal(order{p.Time, p.Memory, p.Write, raw})
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "encode what to do: %w", err)
	}
	tctx, cancel := context.WithTimeoutCause(ctx, p.Time, errLong)
	defer cancel()
	cmd := exec.CommandContext(tctx, p.Argv[0], p.Argv[1:]...)
	cmd.Env = []string{"GOMAXPROCS=2"} // and nothing of this process
	cmd.Stdin = io.MultiReader(bytes.NewReader(head), bytes.NewReader([]byte("\n")), bytes.NewReader(body))
	cmd.WaitDelay = time.Second
	said := words{most: min(p.Memory, mostSaid), stop: cancel}
	cmd.Stdout = &said
	var out outcome
	if err = cmd.Run(); err == nil {
		err = json.Unmarshal(said.b.Bytes(), &out)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(context.Cause(tctx), errLong):
		return &LimitError{fmt.Errorf("it takes more than %v", p.Time)}
	case said.over:
		return &LimitError{fmt.Errorf("it says more than %d MiB", said.most>>20)}
	case err != nil:
		return &LimitError{fmt.Errorf("its reader ended: %w", err)}
	case out.Limit != "":
		return &LimitError{errors.New(out.Limit)}
	case out.Retry:
		return bus.Retry(out.Error)
	case out.Error != nil:
		return out.Error
	}
	if err := json.Unmarshal(out.Result, result); err != nil {
		return &LimitError{fmt.Errorf("read what its reader says: %w", err)}
	}
	return nil
}

// words are what the process says: no more than most, for what it reads may have taken it over.
type words struct {
	b    bytes.Buffer
	most int64  // bytes
	stop func() // ends a process that says more
	over bool
}

// Write implements io.Writer.
func (w *words) Write(p []byte) (int, error) {
	if w.over = int64(w.b.Len()+len(p)) > w.most; w.over {
		w.stop() // it may write on, whatever becomes of that
		return 0, io.ErrShortWrite
	}
	return w.b.Write(p)
}

// Main is the program that Program.Argv names: it reads one job from in, writes what do made of it to out, and
// returns. Its process is to end then, whatever still works on the job.
func Main(in io.Reader, out io.Writer, do func(job json.RawMessage, body []byte) (any, error)) error {
	r := bufio.NewReader(in)
	head, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	var o order
	if err := json.Unmarshal(head, &o); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	if err := confine.Self(confine.Policy{Write: o.Write}); err != nil {
		return err
	}
	debug.SetMemoryLimit(o.Memory / 2)
	body, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read what it is about: %w", err)
	}
	done := make(chan outcome, 1)
	go func() { done <- run(o.Job, body, do) }()
	late := time.After(o.Time)
	look := time.NewTicker(memoryEvery)
	defer look.Stop()
	for {
		select {
		case done := <-done:
			return json.NewEncoder(out).Encode(done)
		case <-late:
			return json.NewEncoder(out).Encode(outcome{Limit: fmt.Sprintf("it takes more than %v", o.Time)})
		case <-look.C:
			if memory() > uint64(max(o.Memory, 0)) {
				return json.NewEncoder(out).Encode(outcome{Limit: fmt.Sprintf("it takes more than %d MiB of memory", o.Memory>>20)})
			}
		}
	}
}

func run(job json.RawMessage, body []byte, do func(json.RawMessage, []byte) (any, error)) outcome {
	result, err := do(job, body)
	if err != nil {
		return outcome{Error: bus.AsError(err), Retry: bus.IsRetry(err)}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return outcome{Error: bus.Errorf(bus.CodeInternal, "encode the result: %w", err)}
	}
	return outcome{Result: raw}
}

// memory is what this process has of its system, in bytes.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

package bus

import (
	"context"
	"time"
)

// Handler runs tasks of one type. Its methods are called concurrently.
type Handler interface {
	// Capability tells what it can run at this moment. It must not block: a daemon asks often.
	// Slots 0 means nothing at present.
	Capability(ctx context.Context) (Capability, error)
	// Handle runs t, emits its output in order, and returns its result, which is encoded as
	// JSON. It returns soon after ctx is done. A nil error commits the result; an error marked
	// by Retry, or by RetryFew, gives the task to another node; any other error, and a panic, fails the
	// task. Of what an error says MaxErrorText is told. Who is silent for long says so before, by SetPhase:
	// else the watchdog takes it for hung.
	Handle(ctx context.Context, t *Task, emit Emit) (result any, err error)
}

// Emit sends one piece of output, of 1 MB at most as JSON. It fails once the task is no longer this
// attempt's to run, and with CodeTooLarge for a longer piece. Each call also feeds the watchdog.
// It does not wait for who reads the output: of what is not read yet the last 1 MiB is kept.
type Emit func(chunk any) error

// phaseKey finds in a Handler's context what WithPhase put there.
type phaseKey struct{}

// WithPhase returns a context whose handler's SetPhase calls set.
func WithPhase(ctx context.Context, set func(name string, limit time.Duration)) context.Context {
	return context.WithValue(ctx, phaseKey{}, set)
}

// ErrStalled is the cause of a handler's context that its watchdog ended, see SetPhase. The task is given
// back once the handler returns, as by RetryFew.
var ErrStalled = Errorf(CodeTimeout, "no output in time: the engine hangs")

// SetPhase tells the watchdog of the running task what comes next and how long it may take
// without an emit: loading a model (minutes), reading the prompt, the pause between tokens.
// A task whose watchdog is not content loses its lease, and its handler's context ends with
// ErrStalled. Where it is not called that is after 5 minutes without a first emit, and after 30 s between
// two, or between the last and the end. Outside a task it does nothing.
func SetPhase(ctx context.Context, name string, limit time.Duration) {
	if set, ok := ctx.Value(phaseKey{}).(func(string, time.Duration)); ok {
		set(name, limit)
	}
}

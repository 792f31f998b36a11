// Package demo runs the embedded demo model: a llama of 296 thousand parameters
// that knows a few hundred answers (capitals, opposites, small sums, greetings)
// and invents the rest. It lets a swarm answer on a machine that has no other
// engine, and tests run against a model that always says the same.
//
// It owns the forward pass, in plain Go, and the model file, which package train
// makes. It is no general engine: 32-bit float llama models of a few megabytes,
// one turn, always the likeliest token.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/mycoswarm/mycoswarm/internal/engine/demo/gguf"
)

// Model is the name of the embedded model.
const Model = "tinylm:latest"

// The file is made anew, byte for byte on amd64, by this command, in about a minute.
//
//go:generate go run ./train -steps 450 -o tinylm.gguf

//go:embed tinylm.gguf
var file []byte

// Errors of Generate.
var (
	// ErrContext is returned when the prompt leaves no room for an answer.
	ErrContext = errors.New("the prompt is too long for the model's context")
	// ErrRole is returned for a message whose role the model does not know.
	ErrRole = errors.New("the model does not know the role")
)

// Message is one turn of a conversation.
type Message struct {
	Role    string // "system", "user" or "assistant"
	Content string
}

// Request asks for an answer.
type Request struct {
	Messages []Message
	// MaxTokens limits the answer; 0 means as many as the context holds.
	MaxTokens int
	// Stop ends the answer before any of these texts appears. Empty ones are ignored.
	Stop []string
	// Said is the beginning of the answer, where that is there already: what follows is made.
	Said string
	// Room is how many tokens of the context the prompt leaves to the answer at least; one in any case.
	Room int
}

// Reasons why an answer ended.
const (
	ReasonStop   = "stop"   // the model, or a stop text, ended it
	ReasonLength = "length" // MaxTokens or the context ended it
)

// Result tells about a finished answer, with what was said before. Counts are in tokens.
type Result struct {
	PromptTokens int
	OutputTokens int
	Reason       string // ReasonStop or ReasonLength
}

// Info describes a loaded model.
type Info struct {
	Name          string
	SizeBytes     int64
	ContextLength int // tokens
}

// Engine is a loaded model. It is safe for concurrent use: calls share the
// weights, and each has its own state.
type Engine struct {
	w     *weights
	tok   *tokenizer
	turns map[string]int // role to the token that begins its turn
	info  Info
}

// New returns the embedded model, which is read once in a process.
func New() (*Engine, error) { return embedded() }

var embedded = sync.OnceValues(func() (*Engine, error) { return Parse(file) })

// Parse reads a model. It returns an error that tells what is broken and where, a *gguf.FormatError
// where the format is.
func Parse(data []byte) (*Engine, error) {
	f, err := gguf.Parse(data)
	if err != nil {
		return nil, err
	}
	e, err := build(f)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	return e, nil
}

func build(f *gguf.File) (*Engine, error) {
	tok, err := newTokenizer(f)
	if err != nil {
		return nil, err
	}
	w, err := load(f, len(tok.pieces))
	if err != nil {
		return nil, err
	}
	e := &Engine{w: w, tok: tok, turns: map[string]int{}}
	for _, role := range []string{"system", "user", "assistant"} {
		id, ok := tok.markers["<|"+role+"|>"]
		if !ok {
			return nil, fmt.Errorf("the vocabulary has no <|%s|>", role)
		}
		e.turns[role] = id
	}
	name, _ := f.Meta["general.name"].(string)
	e.info = Info{Name: name + ":latest", SizeBytes: int64(4 * w.params), ContextLength: w.context}
	return e, nil
}

// Info describes the model.
func (e *Engine) Info() Info { return e.info }

// Generate answers req, and hands every piece of text to emit as soon as it is
// certain. It stops between two tokens once ctx is done, with its cause. Other
// errors are ErrContext, ErrRole, and those of emit.
func (e *Engine) Generate(ctx context.Context, req Request, emit func(text string) error) (Result, error) {
	prompt, err := e.prompt(req.Messages, e.w.context-max(1, req.Room))
	if err != nil {
		return Result{}, err
	}
	res := Result{PromptTokens: len(prompt), Reason: ReasonLength}
	all := e.tok.encode(prompt, req.Said)
	res.OutputTokens = len(all) - len(prompt)
	if len(all) > e.w.context { // it was there before: there is no room for more
		return res, nil
	}
	s := newSession(e.w)
	for _, token := range all {
		if err := stopped(ctx); err != nil {
			return res, err
		}
		s.feed(token)
	}
	out := newWriter(req.Stop, emit)
	out.begun = req.Said != ""
	for req.MaxTokens <= 0 || res.OutputTokens < req.MaxTokens {
		if err := stopped(ctx); err != nil {
			return res, err
		}
		token := s.best()
		if token == e.tok.eos {
			res.Reason = ReasonStop
			break
		}
		res.OutputTokens++
		found, err := out.write(e.tok.pieces[token])
		if err != nil {
			return res, err
		}
		if found {
			res.Reason = ReasonStop
			return res, nil
		}
		if s.full() {
			break
		}
		s.feed(token)
	}
	return res, out.close()
}

// prompt lays out the messages as the model was trained: each turn after the
// marker of its role, and the marker of the assistant at the end. It has so many tokens at most.
func (e *Engine) prompt(messages []Message, most int) ([]int, error) {
	tokens := []int{e.tok.bos}
	for _, m := range messages {
		turn, ok := e.turns[m.Role]
		if !ok {
			return nil, fmt.Errorf("%w %q", ErrRole, m.Role)
		}
		if n := len(tokens) + e.tok.fewest(m.Content); n > most {
			return nil, e.tooLong("at least %d", n)
		}
		tokens = e.tok.encode(append(tokens, turn), m.Content)
	}
	tokens = append(tokens, e.turns["assistant"])
	if len(tokens) > most {
		return nil, e.tooLong("%d", len(tokens))
	}
	return tokens, nil
}

func (e *Engine) tooLong(count string, n int) error {
	return fmt.Errorf("%w: "+count+" tokens, %s holds %d with the answer", ErrContext, n, strings.TrimSuffix(e.info.Name, ":latest"), e.w.context)
}

func stopped(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("generate: %w", context.Cause(ctx))
}

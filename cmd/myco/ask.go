package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
)

// askCmd submits an inference task.
type askCmd struct {
	Prompt []string `arg:"" optional:"" help:"The question; what is piped in is put below it. In a loop that reads lines, < /dev/null keeps the rest of them out of it."`

	Model       string         `predictor:"model" short:"m" help:"The model that must answer (default: the swarm's choice)." placeholder:"MODEL"`
	Node        string         `predictor:"node" help:"The node that must answer: its name, its id or the beginning of its id." placeholder:"NODE" xor:"where"`
	Remote      bool           `help:"Any node but this one must answer." xor:"where"`
	File        []string       `sep:"none" help:"A document that the question is about: a node makes text of it, which comes before the question. Repeatable." placeholder:"FILE"`
	Image       []string       `sep:"none" help:"A picture that the question is about: PNG, JPEG or WebP. A model that sees answers. Repeatable." placeholder:"FILE"`
	URL         []string       `name:"url" sep:"none" help:"A page of the web that the question is about: a node fetches it, and its text comes before the question. Repeatable." placeholder:"URL"`
	Library     []string       `predictor:"library" sep:"none" help:"A library that the question is about: those of its passages that tell of it come before the question. Repeatable." placeholder:"LIBRARY"`
	Detach      bool           `short:"d" help:"Hand the task over for good and print its id; do not wait."`
	ID          bus.TaskID     `name:"id" help:"With --detach: the id of the task. Handed over again, from any node, the same question with the same id is the same task." placeholder:"ID"`
	Priority    *int           `help:"1 (low) to 10 (high) (default: 5)." placeholder:"N"`
	Timeout     *time.Duration `help:"Give up after this time." placeholder:"DURATION"`
	System      string         `help:"What the model is told before the question." placeholder:"TEXT"`
	Temperature *float64       `help:"How much the answer may vary; 0 is the likeliest (default: the engine's)." placeholder:"X"`
	Seed        *int64         `help:"Start of the engine's random numbers (default: the engine's)." placeholder:"N"`
	MaxTokens   *int           `help:"The longest answer, in tokens (default: the engine's)." placeholder:"N"`
	Format      string         `help:"What the answer is: json for some JSON, or a file with the JSON schema that it keeps to." placeholder:"json|FILE"`
	Think       string         `help:"How much the model thinks before it answers, where it can: true, false, low, medium or high (default: the model's own)." placeholder:"HOW"`
	Stream      bool           `help:"With --json: print each piece of the answer too, before the last object." xor:"pieces"`
	Whole       bool           `help:"Print the answer once it is whole, and nothing before: for scripts, since a node that is lost may have begun it in other words." xor:"pieces"`
}

// Run implements the command.
func (c *askCmd) Run(ctx context.Context, a *app) error {
	t, req, err := c.task(ctx, a)
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if c.local() && a.asksHere() && a.withoutDaemon(err) {
		return unthinking(late(a.askLocally(ctx, t, req, c), t.Timeout, "answer"), leftOut)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	if t.Node, err = pinTo(ctx, conn, c.Node); err != nil {
		return err
	}
	if t.Model, err = modelFor(ctx, swarmAsker{conn}, t, req); err != nil {
		return err
	}
	x, err := c.about(ctx, a, conn, t, req.Prompt)
	if err != nil {
		return err
	}
	return unthinking(c.askAbout(ctx, a, conn, t, req, x), leftOut)
}

// local reports whether this machine alone may answer: nothing of the swarm is asked for.
func (c *askCmd) local() bool {
	return !c.Detach && !c.Remote && c.Node == "" && len(c.File)+len(c.URL)+len(c.Library) == 0
}

// task builds the task from the arguments and standard input.
func (c *askCmd) task(ctx context.Context, a *app) (bus.Task, bus.InferenceRequest, error) {
	var req bus.InferenceRequest
	in := a.streams
	if slices.Contains(c.File, standardInput) || slices.Contains(c.Image, standardInput) { // it is no part of the question
		in.piped, in.interactive = false, true
	}
	prompt, err := readPrompt(c.Prompt, in)
	if err != nil {
		return bus.Task{}, req, err
	}
	if err := checkTimeout(c.Timeout); err != nil {
		return bus.Task{}, req, err
	}
	if err := c.check(); err != nil {
		return bus.Task{}, req, err.WithHint("myco ask --help")
	}
	req = bus.InferenceRequest{Prompt: prompt, System: c.System, Temperature: c.Temperature, Seed: c.Seed, MaxTokens: given(c.MaxTokens)}
	if req.Format, err = formatOf(ctx, c.Format); err != nil {
		return bus.Task{}, req, err
	}
	if req.Think, err = thinkOf(c.Think); err != nil {
		return bus.Task{}, req, bus.AsError(err).WithHint("myco ask --help")
	}
	if next := c.unasked(); next != "" && strings.TrimSpace(prompt) == "" {
		return bus.Task{}, req, bus.Errorf(bus.CodeInvalid, "there is no question").WithHint("%s", next)
	}
	if req.Images, err = a.picturesOf(ctx, c.Image); err != nil {
		return bus.Task{}, req, err
	}
	if err := req.Validate(); err != nil {
		return bus.Task{}, req, err
	}
	payload, err := json.Marshal(req)
	if err != nil {
		return bus.Task{}, req, fmt.Errorf("encode the question: %w", err)
	}
	t := bus.Task{
		ID: c.ID, Type: bus.TypeInference, Model: c.Model, Remote: c.Remote, Priority: given(c.Priority), Timeout: given(c.Timeout), Payload: payload,
	}
	return t, req, t.Validate()
}

// unasked is how one asks about what the flags name, for who has named it and asked nothing; empty where they name nothing.
func (c *askCmd) unasked() string {
	switch {
	case len(c.Image) > 0:
		return fmt.Sprintf(`myco ask --image %s "What is on it?"`, bus.ShellWord(c.Image[0]))
	case len(c.File) > 0:
		file := bus.ShellWord(c.File[0])
		return fmt.Sprintf(`myco ask --file %s "What is it about?"; its summary: myco summarize %s`, file, file)
	case len(c.URL) > 0:
		return fmt.Sprintf(`myco ask --url %s "What is it about?"`, bus.ShellWord(c.URL[0]))
	case len(c.Library) > 0:
		return fmt.Sprintf(`myco ask --library %s "What did the boiler cost?"`, bus.ShellWord(c.Library[0]))
	}
	return ""
}

// formatOf is what --format asks for: nothing, "json", or the schema in a file.
func formatOf(ctx context.Context, flag string) (json.RawMessage, error) {
	switch flag {
	case "":
		return nil, nil
	case "json":
		return json.RawMessage(`"json"`), nil
	}
	b, err := input.ReadFile(ctx, flag, bus.MaxPayload)
	if errors.Is(err, os.ErrNotExist) {
		return nil, bus.Errorf(bus.CodeInvalid, "--format %s: want json, or the file of a JSON schema, and there is no such file", flag).WithHint("myco ask --help")
	}
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "--format: %w", err).WithHint("myco ask --help")
	}
	var schema map[string]json.RawMessage
	if err := json.Unmarshal(b, &schema); err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "%s is no JSON schema: %w", flag, err)
	}
	return b, nil
}

// thinkOf is how much a model is to think: nothing where it is the model's own.
func thinkOf(how string) (json.RawMessage, error) {
	switch how {
	case "":
		return nil, nil
	case "true", "false":
		return json.RawMessage(how), nil
	case "low", "medium", "high":
		return json.RawMessage(`"` + how + `"`), nil
	}
	return nil, bus.Errorf(bus.CodeInvalid, "think %s: want true, false, low, medium or high", how)
}

// leftOut is what to do with --think where the model does not think.
const leftOut = "leave --think out; models that think: myco models"

// unthinking is err with what to do where it is of a model that was to think, and does not.
func unthinking(err error, without string) error {
	if e := bus.AsError(err); e != nil && e.Code == bus.CodeInvalid && e.Hint == "" && strings.Contains(e.Message, "does not support thinking") {
		return e.WithHint("%s", without)
	}
	return err
}

// check looks at the values of flags, and calls each by its name; nil where all are well.
func (c *askCmd) check() *bus.Error {
	switch x := c.Temperature; {
	case c.ID != "" && !c.Detach:
		return bus.Errorf(bus.CodeInvalid, "--id %s: it is for tasks that are handed over with --detach", c.ID)
	case c.MaxTokens != nil && *c.MaxTokens < 1:
		return bus.Errorf(bus.CodeInvalid, "--max-tokens %d: want more than 0", *c.MaxTokens)
	case x != nil && !(*x >= 0): // nor is it a number that is none
		return bus.Errorf(bus.CodeInvalid, "--temperature %v: want 0 or more", *x)
	}
	return outside("--priority", c.Priority, 10)
}

// detach enqueues t, and says so once it is on disk.
func (a *app) detach(ctx context.Context, conn *bus.Conn, t bus.Task) error {
	r, err := conn.Enqueue(ctx, t)
	if err != nil {
		return err
	}
	if r.Warning != "" {
		a.hint("warning: %s", r.Warning)
	}
	if a.json {
		a.object(r)
		return nil
	}
	a.text(string(r.ID) + "\n")
	disks := "on the disk of 1 node"
	if r.Copies != 1 {
		disks = fmt.Sprintf("on the disks of %d nodes", r.Copies)
	}
	a.hint("accepted, %s. Its answer: myco task attach %s", disks, r.ID)
	return nil
}

// ask submits t, and has p print the answer as it is made.
func (a *app) ask(ctx context.Context, conn *bus.Conn, t bus.Task, p *printer) error {
	ctx, cancel := inTime(ctx, t.Timeout, timeoutGrace, "answer")
	defer cancel()
	s, err := conn.Start(ctx, t)
	if err != nil {
		return late(err, t.Timeout, "answer")
	}
	p.task = s.Reply.ID
	err = p.follow(patient(s.Chunks(), patience, p.waiting(ctx, conn)))
	return late(err, t.Timeout, "answer")
}

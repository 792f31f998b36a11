package toolbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// call is one call of a tool.
type call struct {
	box *Box
	req *mcp.CallToolRequest
}

// inputOf is what a tool takes, in those words of JSON Schema that all programs know. Some refuse the tools where an object
// has no properties, as OpenAI's API does, or where a property may be of several types or of any, as Gemini's does.
func inputOf[In any]() *jsonschema.Schema {
	s, err := jsonschema.For[In](nil)
	if err != nil {
		panic(err) // of a type of this package
	}
	if s.Properties == nil {
		s.Properties = map[string]*jsonschema.Schema{}
	}
	for _, p := range s.Properties {
		if i := slices.Index(p.Types, "null"); i >= 0 { // of a list, which may be left out instead
			p.Type, p.Types = p.Types[1-i], nil
		}
	}
	return s
}

// add offers a tool.
func add[In any](b *Box, t *mcp.Tool, do func(context.Context, *call, In) ([]string, error)) {
	mcp.AddTool(b.server, t, func(ctx context.Context, req *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
		return b.answer(ctx, req, func(ctx context.Context, c *call) ([]string, error) { return do(ctx, c, in) }), nil, nil
	})
}

// answer makes a tool's result of the texts that do returns, or of its error, which a model can do something about.
func (b *Box) answer(ctx context.Context, req *mcp.CallToolRequest, do func(context.Context, *call) ([]string, error)) *mcp.CallToolResult {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.life, func() { cancel(context.Cause(b.life)) })()
	texts, err := do(ctx, &call{b, req})
	res := &mcp.CallToolResult{}
	if err != nil {
		res.IsError = true
		texts = []string{b.failure(err)}
	}
	for _, text := range texts {
		res.Content = append(res.Content, &mcp.TextContent{Text: text})
	}
	return res
}

// failure is an error for a model: the cause, and the next command, which is its user's to try.
func (b *Box) failure(err error) string {
	e := bus.AsError(err)
	if b.cfg.Hint != nil {
		e = b.cfg.Hint(e)
	}
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "\nWhat may help: " + ofCommand.Replace(e.Hint)
}

// ofCommand leaves out of a hint what flags a command has, where a tool has none.
var ofCommand = strings.NewReplacer(", without --node", "", " with -m", "")

// task makes a task of a type with a request that is valid, for the node that is named, or for any.
func (c *call) task(ctx context.Context, typ string, req interface{ Validate() error }, node string) (bus.Task, bus.Status, error) {
	var s bus.Status
	if err := req.Validate(); err != nil {
		return bus.Task{}, s, err
	}
	t, err := bus.NewTask(typ, req)
	if err != nil {
		return t, s, err
	}
	if s, err = c.box.cfg.Swarm.Status(ctx); err != nil {
		return t, s, err
	}
	t.Node, err = pin(s.Nodes, node)
	return t, s, err
}

// pin is the node that is called so; empty for any.
func pin(nodes []bus.NodeInfo, named string) (bus.NodeID, error) {
	if named == "" {
		return "", nil
	}
	n, err := bus.NodeNamed(nodes, named)
	if errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		return "", bus.AsError(err).WithHint("leave the node open, or name one that list_models tells")
	}
	return n.ID, err
}

// done has a task done, and returns its result with what became of it. The client hears how far it is, if it asked for that.
func done[T any](ctx context.Context, c *call, t bus.Task, names []bus.NodeInfo) (end bus.TaskInfo, res T, err error) {
	if t.ID == "" {
		t.ID = bus.NewTaskID()
	}
	n := c.news(t.ID, names)
	ended := n.tell(ctx)
	end, err = c.box.cfg.Swarm.Do(ctx, t, n.hear)
	ended()
	if err == nil {
		res, err = bus.Result[T](end)
	}
	if err != nil && end.NodeID != "" && slices.Contains(readers, t.Type) {
		err = quoted(err)
	}
	return end, res, err
}

// readers are the types of task that read what others wrote.
var readers = []string{bus.TypeFetch, bus.TypeSearch, bus.TypeFile}

// quoted is an error for a model that may repeat what a server or a document says.
func quoted(err error) error {
	e := *bus.AsError(err)
	e.Message = bus.Foreign(e.Message)
	return &e
}

const (
	// newsAfter is how soon a client first hears how far its call is, and newsEvery how often after, if something has changed.
	newsAfter = 500 * time.Millisecond
	newsEvery = time.Second
	// newsAnyway is how often it hears of it although nothing has: many programs give up what is silent.
	newsAnyway = 5 * time.Second
	// newsLimit is how long it may take to find out.
	newsLimit = 2 * time.Second
)

// news are how far a task is.
type news struct {
	*call
	id    bus.TaskID
	nodes []bus.NodeInfo

	mu      sync.Mutex
	at      bus.NodeID // who has it; empty before it is known
	tokens  int        // written in the present attempt
	attempt int
	loading bool
}

func (c *call) news(id bus.TaskID, nodes []bus.NodeInfo) *news {
	return &news{call: c, id: id, nodes: nodes}
}

// hear takes in a piece of the output.
func (n *news) hear(c bus.Chunk) {
	var p bus.InferenceChunk
	if bus.Unmarshal(c.Data, &p) != nil {
		p = bus.InferenceChunk{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.Attempt > n.attempt {
		n.attempt, n.tokens = c.Attempt, 0
	}
	n.at, n.loading = c.Node, p.Loading
	if p.Text != "" || p.Thinking != "" {
		n.tokens += len(p.Parts())
	}
}

// tell tells the client how far the task is, now and then, until ended is called.
func (n *news) tell(ctx context.Context) (ended func()) {
	token := n.req.Params.GetProgressToken()
	if token == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() {
		last, count, since := "", 0.0, time.Now()
		for wait := newsAfter; ; wait = newsEvery {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			text, tokens := n.now(ctx)
			if text == last && time.Since(since) < newsAnyway || ctx.Err() != nil {
				continue
			}
			last, since = text, time.Now()
			count = max(count+1, float64(tokens))                                                                                        // it has to grow, whatever there is to tell
			_ = n.req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: count, Message: text}) // an extra
		}
	})
	return func() {
		cancel()
		told.Wait()
	}
}

// now is how far the task is.
func (n *news) now(ctx context.Context) (text string, tokens int) {
	n.mu.Lock()
	at, tokens, loading := n.at, n.tokens, n.loading
	n.mu.Unlock()
	switch {
	case loading:
		return n.who(at) + " loads the model", tokens
	case tokens > 0:
		return fmt.Sprintf("%s writes: %d tokens so far", n.who(at), tokens), tokens
	}
	ctx, cancel := context.WithTimeout(ctx, newsLimit)
	defer cancel()
	i, err := n.box.cfg.Swarm.Task(ctx, n.id)
	switch {
	case err != nil:
		return "working", 0
	case i.State == bus.StateRunning:
		return n.who(i.NodeID) + " works on it", 0
	case i.Warning != "":
		return "waiting: " + i.Warning, 0
	case i.Position > 0 && i.Wait > 0:
		return fmt.Sprintf("waiting: %d in the queue, about %v", i.Position, i.Wait.Round(time.Second)), 0
	case i.Position > 0:
		return fmt.Sprintf("waiting: %d in the queue", i.Position), 0
	}
	return "waiting", 0
}

// who is what people call a node.
func (n *news) who(id bus.NodeID) string { return name(n.nodes, id) }

func name(nodes []bus.NodeInfo, id bus.NodeID) string {
	for _, n := range nodes {
		if n.ID == id {
			return n.Name
		}
	}
	if id == "" {
		return "a node"
	}
	return string(id)
}

package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Headers of an answer: which node gave it, and that the demo model did.
const (
	headerNode = "X-Myco-Node"
	headerDemo = "X-Myco-Demo"
)

// writeLimit is how long a client may take to accept a piece of an answer.
const writeLimit = time.Minute

// ask has the swarm answer req. Each piece goes to piece, unless that is nil, with the node that made
// it; the result has them all.
func (g *Gateway) ask(r *http.Request, model string, req bus.InferenceRequest, piece func(bus.NodeID, bus.InferenceChunk) error) (bus.TaskInfo, bus.InferenceResult, error) {
	var res bus.InferenceResult
	if err := req.Validate(); err != nil {
		return bus.TaskInfo{}, res, err
	}
	f := &follower{out: piece}
	info, err := g.run(r, bus.TypeInference, model, req, f.chunk)
	if err == nil {
		res, err = bus.Result[bus.InferenceResult](info)
	}
	if err == nil {
		err = f.rest(info.NodeID, res)
	}
	if names := req.Extended(); err == nil && res.Version < bus.RequestVersion && len(names) > 0 {
		err = bus.Errorf(bus.CodeUnavailable, "node %s runs an older mycod, which left out of the request: %s", info.NodeID, strings.Join(names, ", ")).
			WithHint("upgrade mycod there")
	}
	return info, res, err
}

// run runs an attached task of a type, with payload as JSON, and returns its end with the result.
func (g *Gateway) run(r *http.Request, typ, model string, payload any, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	t, err := taskOf(typ, payload)
	if err != nil {
		return bus.TaskInfo{}, err
	}
	t.Model = g.spelled(model)
	info, err := g.runTask(r, t, piece)
	if err != nil {
		return info, g.unknownModel(typ, model, err)
	}
	return info, nil
}

// runTask runs an attached task on behalf of who asks, and returns its end with the result.
func (g *Gateway) runTask(r *http.Request, t bus.Task, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	t.User = userOf(r)
	if err := t.Validate(); err != nil {
		return bus.TaskInfo{}, wrong{bus.AsError(err)}
	}
	info, err := g.follow(r, t, piece)
	if err == nil {
		err = g.whole(r, &info, true)
	}
	if err == nil && info.Error != nil {
		err = info.Error
	}
	return info, err
}

// follower hands on the pieces of an answer. A node that takes over from one that was lost begins
// anew: as long as it repeats what the client has heard, that is left out.
type follower struct {
	out           func(bus.NodeID, bus.InferenceChunk) error
	attempt, next int
	// told is what the client has heard, behind what of it this attempt has yet to repeat.
	told struct {
		text, thinking strings.Builder
		calls          []bus.ToolCall
	}
	behind bus.InferenceChunk
}

var errDiffers = bus.Errorf(bus.CodeUnavailable, "the node that answered was lost, and the next one answers otherwise").
	WithHint("ask again")

// chunk takes one chunk of the task's output.
func (f *follower) chunk(c bus.Chunk) error {
	if f.out == nil || c.Attempt < f.attempt {
		return nil
	}
	if c.Attempt > f.attempt {
		f.attempt, f.next = c.Attempt, 0
		f.behind = bus.InferenceChunk{Text: f.told.text.String(), Thinking: f.told.thinking.String(), ToolCalls: f.told.calls}
	}
	switch {
	case c.Seq < f.next:
		return nil
	case c.Seq > f.next:
		return bus.Errorf(bus.CodeUnavailable, "the answer was read too slowly: pieces of it are gone").WithHint("read faster, or ask without streaming")
	}
	f.next++
	var piece bus.InferenceChunk
	if err := json.Unmarshal(c.Data, &piece); err != nil {
		return bus.Errorf(bus.CodeInternal, "read a piece of the answer: %w", err)
	}
	if !f.repeats(&piece) {
		return errDiffers
	}
	if piece.Empty() {
		return nil
	}
	f.told.text.WriteString(piece.Text)
	f.told.thinking.WriteString(piece.Thinking)
	f.told.calls = append(f.told.calls, piece.ToolCalls...)
	return f.out(c.Node, piece)
}

// rest hands on what of the result has not come in pieces: pieces may be lost, a result is not.
func (f *follower) rest(node bus.NodeID, res bus.InferenceResult) error {
	if f.out == nil {
		return nil
	}
	f.behind = bus.InferenceChunk{Text: f.told.text.String(), Thinking: f.told.thinking.String(), ToolCalls: f.told.calls}
	rest := bus.InferenceChunk{Text: res.Text, Thinking: res.Thinking, ToolCalls: res.ToolCalls, Demo: res.Demo}
	switch {
	case !f.repeats(&rest) || !f.behind.Empty():
		return errDiffers
	case rest.Empty():
		return nil
	}
	return f.out(node, rest)
}

// repeats takes out of p what the client has heard, and reports whether it is the same.
func (f *follower) repeats(p *bus.InferenceChunk) bool {
	for _, t := range []struct{ now, before *string }{{&p.Text, &f.behind.Text}, {&p.Thinking, &f.behind.Thinking}} {
		n := min(len(*t.now), len(*t.before))
		if (*t.now)[:n] != (*t.before)[:n] {
			return false
		}
		*t.now, *t.before = (*t.now)[n:], (*t.before)[n:]
	}
	for len(p.ToolCalls) > 0 && len(f.behind.ToolCalls) > 0 {
		now, before := p.ToolCalls[0], f.behind.ToolCalls[0]
		if now.Name != before.Name || string(now.Arguments) != string(before.Arguments) {
			return false
		}
		p.ToolCalls, f.behind.ToolCalls = p.ToolCalls[1:], f.behind.ToolCalls[1:]
	}
	return true
}

// stream writes an answer piece by piece.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	media   string
	// before and after stand around each object.
	before, after string
	begun         bool
}

func newNDJSON(w http.ResponseWriter) *stream {
	return &stream{w: w, control: http.NewResponseController(w), media: "application/x-ndjson", after: "\n"}
}

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

func newEvents(w http.ResponseWriter) *stream {
	return &stream{w: w, control: http.NewResponseController(w), media: eventStream, before: "data: ", after: "\n\n"}
}

// begin sends the headers, once.
func (s *stream) begin(node bus.NodeID, demo bool) {
	if s.begun {
		return
	}
	s.begun = true
	answered(s.w, node, demo)
	h := s.w.Header()
	h.Set("Content-Type", s.media)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	s.w.WriteHeader(http.StatusOK)
}

// send writes one object.
func (s *stream) send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "encode a piece of the answer: %w", err)
	}
	return s.text(string(data))
}

// end lifts the limit of time from the connection.
func (s *stream) end() { _ = s.control.SetWriteDeadline(time.Time{}) } // as in text

// text writes one object, or what ends them.
func (s *stream) text(data string) error {
	// What does not support it has no limit: a recorder in a test.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := s.w.Write([]byte(s.before + data + s.after)); err != nil {
		return bus.Errorf(bus.CodeCancelled, "write the answer: %w", err)
	}
	if err := s.control.Flush(); err != nil {
		return bus.Errorf(bus.CodeCancelled, "write the answer: %w", err)
	}
	return nil
}

// answered tells in the header who answered.
func answered(w http.ResponseWriter, node bus.NodeID, demo bool) {
	if node != "" {
		w.Header().Set(headerNode, string(node))
	}
	if demo {
		w.Header().Set(headerDemo, "true")
	}
}

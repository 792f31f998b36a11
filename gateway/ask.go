package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Headers of an answer: which node gave it, by which task, and that the demo model did.
const (
	headerNode = "X-Myco-Node"
	headerTask = "X-Myco-Task"
	headerDemo = "X-Myco-Demo"
	// headerOnLoss, of a request, says what becomes of an answer that another node begins anew in other
	// words: lossError ends it with an error (the default), lossRestart has it begin anew.
	headerOnLoss = "X-Myco-On-Loss"
	lossError    = "error"
	lossRestart  = "restart"
)

// writeLimit is how long a client may take to accept a piece of an answer.
const writeLimit = time.Minute

// pieces gets an answer piece by piece, with the node that has made it.
type pieces func(bus.NodeID, bus.InferenceChunk) error

// noPieces is for who wants the result alone.
func noPieces(bus.Chunk) error { return nil }

// ask has the swarm answer req, by a task of that id, or of a new one where it is empty. Each piece goes to piece, unless that is nil, with the node that made
// it; the result has them all. Of a long request what is long is dropped: an answer may take minutes, and the task has it.
func (g *Gateway) ask(r *http.Request, id bus.TaskID, model string, req *bus.InferenceRequest, piece pieces) (bus.TaskInfo, bus.InferenceResult, error) {
	var res bus.InferenceResult
	if err := req.Validate(); err != nil {
		return bus.TaskInfo{}, res, err
	}
	f := &follower{out: piece, note: noteOf(r)}
	switch v := r.Header.Get(headerOnLoss); v {
	case "", lossError:
	case lossRestart:
		f.restarts = true
	default:
		return bus.TaskInfo{}, res, wrong{err: bus.Errorf(bus.CodeInvalid, "%s: %q: want %s or %s", headerOnLoss, v, lossError, lossRestart)}
	}
	t, err := g.newTask(r, bus.TypeInference, model, *req)
	if err != nil {
		return bus.TaskInfo{}, res, err
	}
	t.ID = id
	if len(t.Payload) > bus.MaxInline {
		*req = bus.InferenceRequest{Load: req.Load, TopLogprobs: req.TopLogprobs}
	}
	info, err := g.run(r, model, t, f.chunk)
	if err == nil {
		res, err = bus.Result[bus.InferenceResult](info)
	}
	if err == nil {
		err = f.end(info.NodeID, res)
	}
	return info, res, err
}

// newTask makes a task of a type for a model, with payload as JSON, for the node that a request names, if it names one.
func (g *Gateway) newTask(r *http.Request, typ, model string, payload any) (bus.Task, error) {
	model, behind := g.aimed(model)
	at, err := g.pin(r, behind)
	if err != nil {
		return bus.Task{}, err
	}
	t, err := bus.NewTask(typ, payload)
	t.Model, t.Node = g.spelled(model), at
	return t, err
}

// run is runTask for what newTask made for a model.
func (g *Gateway) run(r *http.Request, model string, t bus.Task, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	info, err := g.runTask(r, t, piece)
	if err != nil {
		return info, g.unknownModel(r, t, model, err)
	}
	return info, nil
}

// runTask runs an attached task on behalf of who asks, and returns its end with the result.
func (g *Gateway) runTask(r *http.Request, t bus.Task, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	t.User = userOf(r)
	if ofBatch(r) {
		t.Lane, t.Part = bus.Batch, true
	}
	if err := t.Validate(); err != nil {
		return bus.TaskInfo{}, wrong{err: bus.AsError(err)}
	}
	info, err := g.awaited(r, t, piece)
	if err == nil {
		err = g.whole(r, &info, true)
	}
	if err == nil && info.Error != nil {
		err = info.Error
	}
	return info, openNode(r, t, err)
}

// stream writes an answer piece by piece.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	media   string
	// before and after stand around each object.
	before, after string
	begun         bool
	task          bus.TaskID // whose answer it is
	node          bus.NodeID // who answers, as the client knows; empty where that is not told
	// more is set where more follows at once: it is sent together.
	more bool
	// asked is when the request was, and reading since when its documents are read, before its answer; zero where none are.
	asked, reading time.Time
}

func newNDJSON(w http.ResponseWriter, task bus.TaskID) *stream {
	return &stream{w: w, task: task, control: http.NewResponseController(w), media: "application/x-ndjson", after: "\n"}
}

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

func newEvents(w http.ResponseWriter, task bus.TaskID) *stream {
	return &stream{w: w, task: task, control: http.NewResponseController(w), media: eventStream, before: "data: ", after: "\n\n"}
}

// begin sends the headers, once. Who answers is told in them, and where that is another, or was not known, in a comment.
func (s *stream) begin(node bus.NodeID, demo bool) {
	if s.begun {
		if s.media == eventStream && node != "" && node != s.node {
			s.node = node
			_, _ = s.w.Write([]byte(": node " + node + "\n\n")) // the piece that follows tells of a client that has left
		}
		return
	}
	s.begun, s.node = true, node
	answered(s.w, s.task, node, demo)
	h := s.w.Header()
	h.Set("Content-Type", s.media)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	s.w.WriteHeader(http.StatusOK)
}

// notes returns r as a request whose answer tells, between its pieces, what became of its nodes: in
// comments, which clients of server-sent events leave out.
func (s *stream) notes(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), noteKey{}, func(text string) error {
		if !s.begun {
			return nil
		}
		return s.write(": " + text + "\n\n")
	}))
}

// noteKey finds in a request's context what notes put there.
type noteKey struct{}

func noteOf(r *http.Request) func(string) error {
	note, _ := r.Context().Value(noteKey{}).(func(string) error)
	return note
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
func (s *stream) text(data string) error { return s.write(s.before + data + s.after) }

func (s *stream) write(text string) error {
	// What does not support it has no limit: a recorder in a test.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return bus.Errorf(bus.CodeCancelled, "write the answer: %w", err)
	}
	if s.more {
		return nil
	}
	if err := s.control.Flush(); err != nil {
		return bus.Errorf(bus.CodeCancelled, "write the answer: %w", err)
	}
	return nil
}

// answered tells in the header who answered, and by which task, which tells why it was that one.
func answered(w http.ResponseWriter, task bus.TaskID, node bus.NodeID, demo bool) {
	if task != "" {
		w.Header().Set(headerTask, string(task))
		nameAfterTask(w, task)
	}
	if node != "" {
		w.Header().Set(headerNode, string(node))
	}
	if demo {
		w.Header().Set(headerDemo, "true")
	}
}

package bus

import (
	"encoding/json"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Lane separates work that a person waits for from work that may take its time.
type Lane string

// The lanes. Interactive is served first.
const (
	Interactive Lane = "interactive"
	Batch       Lane = "batch"
)

// Limits of a task.
const (
	// DefaultPriority is the priority of a task that names none.
	DefaultPriority = 5
	// MaxPayload is the largest payload of a task, and the largest result, in bytes: 256 MiB.
	MaxPayload = 256 << 20
	// MaxInline is the largest payload or result, in bytes, that travels within a message: its
	// envelope has to fit in beside it, under the bus's limit of 1 MiB. What is larger is kept and
	// fetched in pieces, see Blob.
	MaxInline = 768 << 10
	// MaxLater bounds the fields that this version does not know, see Later, all together, in bytes:
	// beside a payload of MaxInline they fit into a message.
	MaxLater = 64 << 10
	// MaxTimeout is the longest time that a task may ask for.
	MaxTimeout = 30 * 24 * time.Hour
	// maxModelName is the longest name of a model, in bytes.
	maxModelName = 256
	// maxUser is the longest Task.User, in bytes.
	maxUser = 64
)

// Task is one unit of work. It does not change once submitted.
type Task struct {
	// ID is made by Submit and Enqueue where it is empty.
	ID TaskID `json:"id,omitempty"`
	// Type is the kind of work: "inference", "ping", ...: the work queue's class.
	Type string `json:"type"`
	// Model is the model that must run it; empty where the type needs none, or to let the
	// submitting daemon choose one.
	Model string `json:"model,omitempty"`
	// Node pins the task to one node; empty lets the swarm place it.
	Node NodeID `json:"node,omitempty"`
	// Remote asks for any node but the submitting one. The submitting daemon turns it into a pin.
	Remote bool `json:"remote,omitempty"`
	// Lane is Interactive for Submit and Batch for Enqueue, unless set.
	Lane Lane `json:"lane,omitempty"`
	// Priority is 1 (low) to 10 (high) within the lane; 0 means DefaultPriority.
	Priority int `json:"priority,omitempty"`
	// Timeout counts from submission: the task never runs after it. 0 means none. On the wire
	// and at rest it travels as time left, so that clocks need not agree.
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	// User is on whose behalf the task is submitted, for a fair share between users of one node: an
	// opaque name of up to 64 letters, digits, '-' or '_'. Requests over HTTP have KeyInfo.User; empty
	// is the owner of the submitting node.
	User string `json:"user,omitempty"`
	// Part tells that somebody asked for something that takes many tasks, of which this is one. Lists leave it
	// out once it has ended.
	Part bool `json:"part,omitempty"`
	// Payload is the input, in the format of the type.
	Payload json.RawMessage `json:"payload,omitempty"`

	// Later are fields of a later version.
	Later Later `json:",embed"`
	// Original is what Payload was made from, in the process that did, see NewTask.
	Original Original `json:"-"`
}

// TakeModel takes the model of an inference or an embedding from its payload, where Ollama's interface has it, if t names
// none beside it: left unseen, another model would answer. Where both name one, and not the same, the error has CodeInvalid.
func (t *Task) TakeModel() error {
	var within struct {
		Model string `json:"model"`
	}
	if t.Type == TypeInference || t.Type == TypeEmbed {
		_ = Unmarshal(t.Payload, &within) // a payload that is none is the worker's to refuse
	}
	switch {
	case within.Model == "":
	case t.Model == "":
		t.Model = within.Model
	case CanonicalModel(t.Model) != CanonicalModel(within.Model):
		return Errorf(CodeInvalid, "the task names the model %q, and its payload %q", t.Model, within.Model).
			WithHint("name it once, beside the payload")
	}
	return nil
}

// plainTask is Task without its methods.
type plainTask Task

// MarshalJSON and UnmarshalJSON are for encoding/json, which does not look for the other two before
// Go 1.27.
func (t Task) MarshalJSON() ([]byte, error) { return Marshal(t) }

// UnmarshalJSON keeps fields of later versions.
func (t *Task) UnmarshalJSON(b []byte) error { return Unmarshal(b, t) }

// MarshalJSONTo writes the fields of later versions that it keeps, too.
func (t Task) MarshalJSONTo(e *jsontext.Encoder) error {
	return MarshalLater(e, (*plainTask)(&t), &t.Later)
}

// UnmarshalJSONFrom keeps fields of later versions.
func (t *Task) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return unmarshalLater(d, (*plainTask)(t), &t.Later)
}

// Unknown returns the names of the fields that this version does not know; nil where there are none.
func (t Task) Unknown() []string { return namesOf(t.Later) }

// Validate reports the first thing wrong with t, as an Error with CodeInvalid or
// CodeTooLarge. An empty ID and zero Lane or Priority are valid: WithDefaults fills them in.
func (t Task) Validate() error {
	switch {
	case t.ID != "" && t.ID.Validate() != nil:
		return t.ID.Validate()
	case !validName(t.Type, 32):
		return Errorf(CodeInvalid, "task type %q: want 1 to 32 lower-case letters, digits, '-' or '_'", t.Type)
	case len(t.Model) > maxModelName:
		return Errorf(CodeInvalid, "model name has %d bytes, want at most %d", len(t.Model), maxModelName)
	case t.Node != "" && t.Node.Validate() != nil:
		return t.Node.Validate()
	case t.Node != "" && t.Remote:
		return Errorf(CodeInvalid, "a task is pinned to a node or sent to any other node, not both")
	case t.Lane != "" && t.Lane != Interactive && t.Lane != Batch:
		return Errorf(CodeInvalid, "lane %q: want %q or %q", t.Lane, Interactive, Batch)
	case t.Priority < 0 || t.Priority > 10:
		return Errorf(CodeInvalid, "priority %d: want 1 to 10", t.Priority)
	case t.User != "" && !plainName(t.User, maxUser):
		return Errorf(CodeInvalid, "the user has %d bytes, want at most %d letters, digits, '-' or '_'", len(t.User), maxUser)
	case t.Timeout < 0 || t.Timeout > MaxTimeout:
		return Errorf(CodeInvalid, "timeout %v: want 0 to %v", t.Timeout, MaxTimeout)
	case len(t.Payload) > MaxPayload:
		return TooLarge("payload", int64(len(t.Payload)))
	case len(t.Later) > MaxLater:
		return Errorf(CodeTooLarge, "the unknown fields of the task have %d bytes, the limit is %d (%d KiB)", len(t.Later), MaxLater, MaxLater>>10)
	case len(t.Later) > 0 && (t.Later.Kind() != '{' || !t.Later.IsValid(options)):
		return Errorf(CodeInvalid, "the unknown fields of the task are not a JSON object")
	case len(t.Payload) > 0 && !json.Valid(t.Payload):
		return Errorf(CodeInvalid, "payload is not JSON")
	}
	return nil
}

// TooLarge is the Error for what, a payload or a result, of size bytes; size is 0 where it is not
// known by how much it is over the limit.
func TooLarge(what string, size int64) *Error {
	if size == 0 {
		return Errorf(CodeTooLarge, "the %s is over the limit of %d bytes (%d MiB)", what, MaxPayload, MaxPayload>>20)
	}
	return Errorf(CodeTooLarge, "the %s has %d bytes, the limit is %d (%d MiB)", what, size, MaxPayload, MaxPayload>>20)
}

// WithDefaults returns t with an id, lane and priority.
func (t Task) WithDefaults(lane Lane) Task {
	if t.ID == "" {
		t.ID = NewTaskID()
	}
	if t.Lane == "" {
		t.Lane = lane
	}
	if t.Priority == 0 {
		t.Priority = DefaultPriority
	}
	return t
}

// TaskState is where a task is in its life.
type TaskState string

// The states of a task. The last five are terminal: the first of them that is written stays.
const (
	StateQueued    TaskState = "queued"
	StateRunning   TaskState = "running"
	StateDone      TaskState = "done"
	StateFailed    TaskState = "failed"
	StateCancelled TaskState = "cancelled"
	StateExpired   TaskState = "expired"
	StateDead      TaskState = "dead"
)

// Terminal reports whether s is final.
func (s TaskState) Terminal() bool {
	switch s {
	case StateDone, StateFailed, StateCancelled, StateExpired, StateDead:
		return true
	}
	return false
}

// Known reports whether s is one of these.
func (s TaskState) Known() bool { return s == StateQueued || s == StateRunning || s.Terminal() }

// TaskInfo tells what became of a task.
type TaskInfo struct {
	ID       TaskID    `json:"id"`
	Type     string    `json:"type"`
	Model    string    `json:"model,omitempty"`
	State    TaskState `json:"state"`
	Attempts int       `json:"attempts"`
	// NodeID is the node that runs it, or ran it last.
	NodeID    NodeID          `json:"node_id,omitempty"`
	Submitter NodeID          `json:"submitter,omitempty"`
	Durable   bool            `json:"durable"`
	Copies    int             `json:"copies,omitempty"` // disks that hold it, of a durable task
	Submitted time.Time       `json:"submitted,omitzero"`
	Part      bool            `json:"part,omitempty"` // see Task
	Result    json.RawMessage `json:"result,omitempty"`
	// ResultBlob stands for a Result over MaxInline until that is fetched; Conn does so.
	ResultBlob *Blob  `json:"result_blob,omitempty"`
	Error      *Error `json:"error,omitempty"`
	// Warning tells why a queued task cannot run at present, or was given back, that engines have hung or failed at an
	// open one, or, at the end of an output of which the reader has a part, that pieces of it are missing, or may be.
	Warning string `json:"warning,omitempty"`
	// Position is where a queued task stands, 1 for the next, and Wait about how long it waits; 0 where
	// that is not known. Conn.Task tells them, and Conn.Tasks does not.
	Position int           `json:"position,omitempty"`
	Wait     time.Duration `json:"wait_ns,omitempty"`
}

// EndedPart reports whether a task is a part that has ended: lists leave it out, unless asked for all.
func (i TaskInfo) EndedPart() bool { return i.Part && i.State.Terminal() }

// Receipt says that a durable task is accepted: on disk, synced, on Copies nodes.
type Receipt struct {
	ID       TaskID `json:"task_id"`
	Accepted bool   `json:"accepted"`
	Copies   int    `json:"copies"`
	// Warning tells that no node can run the task at present; it waits for one.
	Warning string `json:"warning,omitempty"`
}

// Chunk is one piece of a task's output. Chunks of one attempt are in order and counted from
// 0; a higher attempt starts anew from Seq 0, and what earlier attempts said is void. A node that
// goes on where another was lost goes on with its number.
type Chunk struct {
	Attempt int `json:"attempt"`
	Seq     int `json:"seq"`
	// Node is the node that made it.
	Node NodeID          `json:"node,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
	// Continues is set on the first chunk of a node that goes on with the output of one that was
	// lost. Such a chunk says nothing else: its Data is an empty object.
	Continues *Continues `json:"continues,omitempty"`
	// End is set on the last chunk alone: what became of the task, with its result. Its Seq counts the chunks before.
	End *TaskInfo `json:"end,omitempty"`
	// Original is what Data was made from, in the process that did, see From.
	Original Original `json:"-"`
}

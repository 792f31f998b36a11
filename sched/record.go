package sched

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Job is a task on its way: what is fed to a work queue and kept in an outbox.
type Job struct {
	Task bus.Task `json:"task"`
	// Blob stands for a payload over bus.MaxInline, which Task does not hold then.
	Blob      *bus.Blob  `json:"blob,omitempty"`
	Submitter bus.NodeID `json:"submitter"`
	// Boot is the submitter's start; an attached task ends with it.
	Boot string `json:"boot,omitempty"`
	// Custodian holds the second copy of a durable task; empty for an attached one.
	Custodian bus.NodeID `json:"custodian,omitempty"`
	// Stamp is the holder's clock when LeftMS was computed; Accepted is the submitter's. By is
	// the holder, where it has sent the task to a queue or a store.
	LeftMS   int64      `json:"left_ms,omitempty"`
	Stamp    time.Time  `json:"stamp,omitzero"`
	By       bus.NodeID `json:"by,omitempty"`
	Accepted time.Time  `json:"accepted"`
	// Attempts is the highest attempt that the feeder knows of.
	Attempts int `json:"attempts,omitempty"`
	// Crashes are the attempts that ended with their worker's process.
	Crashes []Crash `json:"crashes,omitempty"`
	// Failures are the attempts in which the engine hung or failed.
	Failures []Failure `json:"failures,omitempty"`

	here  bool          // this process has stamped it
	slept time.Duration // what Config.Slept was at Stamp then

	Later bus.Later `json:",embed"`
}

// key is the work queue that j belongs to, without a share.
func (j *Job) key() bus.Key { return bus.KeyOf(&j.Task) }

// slim takes out of j what only a run of it needs.
func (j *Job) slim() {
	j.Task.DropPayload()
	j.Task.Later = nil
}

// Durable reports whether the task is promised to survive its submitter.
func (j *Job) Durable() bool { return j.Custodian != "" }

// Crash is an attempt whose worker died, or was lost.
type Crash struct {
	Node    bus.NodeID `json:"node"`
	Attempt int        `json:"attempt"`
	// Boot is the start of Node that was lost: it may live on behind a link that is down. Empty where
	// that process is known to have ended.
	Boot string `json:"boot,omitempty"`
}

// Final is how a task ended. The first that is written stays.
type Final struct {
	Task  bus.TaskID    `json:"task"`
	State bus.TaskState `json:"state"`
	// Node is the worker; empty where the task was ended from outside, by a cancel or its deadline.
	Node    bus.NodeID `json:"node,omitempty"`
	Attempt int        `json:"attempt"`
	// Unrun tells that Attempt was claimed to end the task, and did not run: it had expired, or was given up.
	Unrun bool `json:"unrun,omitempty"`
	// Ran is who ran the last attempt before that, or the last one of a task that was ended from outside, as far as is known.
	Ran    bus.NodeID      `json:"ran,omitempty"`
	Nonce  string          `json:"nonce,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	// Blob stands for a result over bus.MaxInline.
	Blob    *bus.Blob  `json:"blob,omitempty"`
	Error   *bus.Error `json:"error,omitempty"`
	Crashes []Crash    `json:"crashes,omitempty"`
	At      time.Time  `json:"at"`
	// Chunks is how much output came before the end.
	Chunks int `json:"chunks,omitempty"`
	// After is what that output continued.
	After *after `json:"after,omitempty"`
	// Queue is where it was committed.
	Queue QueueID `json:"queue,omitzero"`

	Later bus.Later `json:",embed"`
}

// Record is a claim: who runs the task, or how it ended, under one host and term.
type Record struct {
	State   bus.TaskState `json:"state"` // running, queued where Worker has given it back, or terminal
	Worker  bus.NodeID    `json:"worker"`
	Attempt int           `json:"attempt"`
	Nonce   string        `json:"nonce"`
	Ack     string        `json:"ack,omitempty"`
	Seq     uint64        `json:"seq,omitempty"`
	Crashes []Crash       `json:"crashes,omitempty"`
	// Failures are as in Job.
	Failures []Failure `json:"failures,omitempty"`
	// Why tells why the last attempt gave the task back.
	Why   string `json:"why,omitempty"`
	Final *Final `json:"final,omitempty"`

	Later bus.Later `json:",embed"`
}

// readRecord returns the record of a task in queue q, and its revision: ErrNotFound.
func (fx Effects) readRecord(ctx context.Context, q QueueID, id bus.TaskID) (r Record, rev uint64, err error) {
	data, rev, err := fx.GetClaim(ctx, q, id)
	if err != nil {
		return r, 0, err
	}
	if err := bus.Unmarshal(data, &r); err != nil {
		return r, 0, fmt.Errorf("decode the record of task %s: %w", id, err)
	}
	return r, rev, nil
}

// keptBody is the body of an outbox message: the task, or its end.
type keptBody struct {
	Job   *Job   `json:"job,omitempty"`
	Final *Final `json:"final,omitempty"`
}

// outMsg is the body of a message on bus.SubjectOut.
type outMsg struct {
	Nonce   string          `json:"nonce"`
	Attempt int             `json:"attempt"`
	Seq     int             `json:"seq"`
	Node    bus.NodeID      `json:"node"`
	Data    json.RawMessage `json:"data,omitempty"`
	Final   *Final          `json:"final,omitempty"`
	// After is what the attempt continues; nil where it begins anew.
	After *after `json:"after,omitempty"`

	chunk any // what Data encodes, where it stays in this process
}

// resendMsg asks the worker of an attempt for its chunks from From on.
type resendMsg struct {
	Attempt int `json:"attempt"`
	From    int `json:"from"`
	// Worker is who is asked by another than the submitter, see Node.Said: it answers at the reply subject, also with nothing.
	Worker bus.NodeID `json:"worker,omitempty"`
}

// saidMsg answers a resendMsg that names its worker.
type saidMsg struct {
	Pieces []outMsg `json:"pieces,omitempty"`
	More   bool     `json:"more,omitempty"` // others follow
}

// runMsg tells, on bus.SubjectRuns, what a queue host knows of a task's runs, or a worker of its own.
type runMsg struct {
	Host      bus.NodeID `json:"host"` // who tells it
	Task      bus.TaskID `json:"task"`
	Submitter bus.NodeID `json:"submitter,omitempty"`
	// Begins is set where Host itself is about to run Attempt.
	Begins   bool      `json:"begins,omitempty"`
	Attempt  int       `json:"attempt"`
	Crashes  []Crash   `json:"crashes,omitempty"`
	Failures []Failure `json:"failures,omitempty"`
}

// nextMsg is a free slot's request for work.
type nextMsg struct {
	Node  bus.NodeID `json:"node"`
	Class string     `json:"class"`
	Slot  int        `json:"slot"`
	// Slots is how many the node has of Class. CPU and GPU are utilisation, 0 to 100, FreeMB the memory
	// that is free for a model, in MiB.
	Slots  int `json:"slots,omitempty"`
	CPU    int `json:"cpu,omitempty"`
	GPU    int `json:"gpu,omitempty"`
	FreeMB int `json:"free_mb,omitempty"`
	// Missed tells that the slot was handed nothing the last time: the queue was empty.
	Missed bool `json:"missed,omitempty"`
}

// offerMsg brings the message of an attached task to its queue's host, see host.offer.
type offerMsg struct {
	Term uint64 `json:"term"`
	Key  string `json:"key"`
	// Need is as Need.String has it.
	Need string         `json:"need,omitempty"`
	Job  jsontext.Value `json:"job"`
}

// offerTaken is the answer to an offer: the task is with a slot, or in the queue.
const offerTaken = "taken"

// syncMsg asks which of some open tasks have ended or run; syncReply answers in pieces.
type syncMsg struct {
	From bus.NodeID   `json:"from"`
	IDs  []bus.TaskID `json:"ids"`
	// Kept are those of IDs that the asker keeps for others, by submitter.
	Kept map[bus.NodeID][]bus.TaskID `json:"kept,omitempty"`
}

type syncReply struct {
	Node  bus.NodeID `json:"node"`
	Ended []Final    `json:"ended,omitempty"`
	// Unknown are those of Kept that their submitter does not have: its disk has lost them.
	Unknown []bus.TaskID   `json:"unknown,omitempty"`
	Last    bool           `json:"last,omitempty"`
	Beat    *bus.Heartbeat `json:"beat,omitempty"`
}

// findMsg asks what is known of a task, or of all tasks where ID is empty.
type findMsg struct {
	ID bus.TaskID `json:"id,omitempty"`
	// Why asks for the bids, too.
	Why bool `json:"why,omitempty"`
}

type findReply struct {
	Node  bus.NodeID `json:"node"`
	Found []found    `json:"found,omitempty"`
	// More tells that another answer of Node follows. Earlier versions take the first for the whole.
	More bool `json:"more,omitempty"`
	// Why is told by who decided, where it was asked for, and by the host in whose queue the task waits.
	Why *bus.Why `json:"why,omitempty"`
	// Decided is what was decided before that: Why may tell that it waits, or of the claim that ended it.
	Decided *bus.Why `json:"decided,omitempty"`
	// Place is told by the queue host of the one task that was asked for, while that waits.
	Place *position `json:"place,omitempty"`
	// Held tells why the one task that was asked for is neither run nor ended, by who has looked at it.
	Held string `json:"held,omitempty"`
}

type found struct {
	Info bus.TaskInfo `json:"info"`
	// Custodian is set for a durable task.
	Custodian bus.NodeID `json:"custodian,omitempty"`
	Key       bus.Key    `json:"key"`
	// Unrun is set where the attempt after those of Info was claimed to end the task, and did not run.
	Unrun bool `json:"unrun,omitempty"`
	// Sum stands for the content of a durable task, by who keeps it, where one task was asked for.
	Sum string `json:"sum,omitempty"`

	last string // of its place
}

// mergeCrashes returns the union of a and b, in order of a then b. Of one attempt, what is known to have
// ended counts before what was lost, and that before what was lost unheard.
func mergeCrashes(a, b []Crash) []Crash {
	out := append([]Crash(nil), a...)
	for _, c := range b {
		i := slices.IndexFunc(out, func(o Crash) bool { return o.Node == c.Node && o.Attempt == c.Attempt })
		if i < 0 {
			out = append(out, c)
		} else if c.Boot == "" || out[i].Boot == unheard {
			out[i].Boot = c.Boot
		}
	}
	return out
}

// left returns the time left of j at now, and whether it has a deadline at all.
func (j *Job) left(now time.Time) (time.Duration, bool) {
	if j.Task.Timeout == 0 {
		return 0, false
	}
	return time.Duration(j.LeftMS)*time.Millisecond - now.Sub(j.Stamp), true
}

// expired reports whether j's deadline has passed at now.
func (j *Job) expired(now time.Time) bool {
	left, has := j.left(now)
	return has && left <= 0
}

// info makes of j, and its end if there is one, what a user sees.
func (j *Job) info(state bus.TaskState, f *Final) bus.TaskInfo {
	t := bus.TaskInfo{
		ID: j.Task.ID, Type: j.Task.Type, Model: j.Task.Model, State: state, Submitter: j.Submitter,
		Durable: j.Durable(), Submitted: j.Accepted, Part: j.Task.Part, Attempts: j.Attempts,
	}
	if f != nil {
		f.tell(&t)
	}
	return t
}

// tell adds to t how its task ended.
func (f *Final) tell(t *bus.TaskInfo) {
	t.State, t.Attempts, t.NodeID, t.Result, t.ResultBlob, t.Error = f.State, f.Attempt, f.Node, f.Result, f.Blob, f.Error
	if f.Unrun {
		t.Attempts--
	}
	if f.Unrun || f.Node == "" {
		t.NodeID = f.Ran
	}
}

// ran returns who ran the latest attempt that was lost or failed.
func (r *Record) ran() bus.NodeID {
	var at bus.NodeID
	latest := 0
	for _, c := range r.Crashes {
		if c.Attempt >= latest {
			at, latest = c.Node, c.Attempt
		}
	}
	for _, f := range r.Failures {
		if f.Attempt >= latest {
			at, latest = f.Node, f.Attempt
		}
	}
	return at
}

// marshal encodes what cannot fail to encode: own types of plain fields.
func marshal(v any) []byte {
	b, err := bus.Marshal(v)
	if err != nil {
		panic("sched: encode " + err.Error())
	}
	return b
}

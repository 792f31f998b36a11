package sched

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	streamBytes = 1 << 20                // of output kept for readers who come late
	gapWait     = 500 * time.Millisecond // for output that is missing before the end
	earlyMost   = 1024                   // chunks that came before their turn
	askMost     = 30 * time.Second       // between questions for one chunk; from gapWait it doubles with each
)

// stream puts the output of a task in order at its submitter: one attempt after the other, each
// chunk once, the first end last. An attempt that continues an earlier one goes on with its number, and
// with its count of chunks.
type stream struct {
	mu      sync.Mutex
	strict  bool // tell attempts apart by their nonce
	held    bool // only close ends it: a message that tells an end is not the end
	closed  bool // and has, but for output that is waited for: there is no other end
	run     int  // the attempt that is heard
	nonce   string
	fence   int        // chunks of attempts before it are too late: it was told what there is
	attempt int        // the number that readers know
	base    int        // where the chunks of run begin
	lost    bus.NodeID // who said what is before base
	next    int        // the chunk that is due
	early   map[int]outMsg
	ahead   int // bytes in early
	asked   question
	chunks  []bus.Chunk // of this attempt, the last streamBytes of them
	size    int
	pending *Final // an end before which output is missing
	since   time.Time
	end     *bus.Chunk
	final   *Final // what end was made of
	changed chan struct{}
	readers *readers
}

func newStream(strict, held bool) *stream {
	return &stream{strict: strict, held: held, early: map[int]outMsg{}, changed: make(chan struct{}), readers: &readers{}}
}

// take puts m in its place. gap is the first chunk that is missing, -1 where none is; ended is the end
// of the stream, where m has completed it.
func (s *stream) take(m outMsg, now time.Time) (gap int, ended *Final) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.end == nil
	gap = s.place(m, now)
	if open && s.end != nil {
		ended = s.final
	}
	return gap, ended
}

func (s *stream) place(m outMsg, now time.Time) (gap int) {
	if s.end != nil || m.Attempt < max(s.run, s.fence) && m.Final == nil {
		return -1
	}
	if s.closed && m.Final != nil || s.pending != nil && m.Attempt > s.run && m.Final == nil {
		return -1 // the task has ended, which who says this does not know
	}
	if m.Final != nil && m.Final.Node == "" { // from outside: it says nothing of its own
		if !s.held {
			s.finish(*m.Final)
		}
		return -1
	}
	if m.Attempt > s.run || s.nonce == "" {
		s.begin(m)
	} else if m.Nonce != s.nonce && s.strict {
		if m.Final == nil {
			return -1 // another run with the same number: the first one heard is shown
		}
		if !s.held {
			s.finish(*m.Final) // its output was not shown; its result is whole
		}
		return -1
	}
	if m.Final != nil {
		s.pending, s.since = m.Final, now
		s.fence = 0 // it has ended after all, and what is missing of it is shown
	} else if before := m.Seq - (s.next - s.base); before == 0 || before > 0 && s.mayWait(m) {
		s.early[m.Seq] = m
		s.ahead += len(m.Data)
	}
	s.advance()
	lacks := s.end == nil && (s.pending != nil && s.next-s.base < s.pending.Chunks || len(s.early) > 0)
	if lacks && (m.Final != nil || s.asked.due(s.next, now)) {
		return s.next - s.base
	}
	return -1
}

// mayWait reports whether m may wait for its turn. What may not comes again: its worker sends all that follows what is missing.
func (s *stream) mayWait(m outMsg) bool {
	_, has := s.early[m.Seq]
	return !has && (len(s.early) == 0 || len(s.early) < earlyMost && s.ahead+len(m.Data) <= streamBytes)
}

// question is for the chunk that was asked for last. It may be gone: its worker sends all that comes after it each time, and no
// piece of that is a reason to ask again.
type question struct {
	chunk int
	again backoff
}

// due reports whether it is time to ask for chunk, and notes that it is asked for.
func (q *question) due(chunk int, now time.Time) bool {
	if chunk != q.chunk {
		*q = question{chunk: chunk}
	}
	if !q.again.due(now) {
		return false
	}
	q.again.wait(now, gapWait, askMost)
	return true
}

// begin makes m's attempt the one that is heard. What was shown stays where it continues just that.
func (s *stream) begin(m outMsg) {
	empty := s.nonce == ""
	s.run, s.nonce, s.pending, s.lost, s.asked = m.Attempt, m.Nonce, nil, "", question{}
	clear(s.early)
	s.ahead = 0
	switch c := m.After; {
	case c != nil && c.Attempt == s.attempt && c.Chunks == s.next && s.next > 0:
		if n := len(s.chunks); n > 0 {
			s.lost = s.chunks[n-1].Node
		}
		s.base = s.next
		return
	case c != nil && c.Chunks > 0 && empty: // this process has shown nothing yet: its readers come late
		s.attempt, s.base = c.Attempt, c.Chunks
	case c != nil && c.Chunks > 0: // cannot be; what it continues is gone, and readers see that
		s.attempt, s.base = m.Attempt, c.Chunks
	default:
		s.attempt, s.base = m.Attempt, 0
	}
	s.next, s.size, s.chunks = s.base, 0, nil
}

// advance moves what is in turn to the readers.
func (s *stream) advance() {
	moved := false
	for {
		m, ok := s.early[s.next-s.base]
		if !ok {
			break
		}
		delete(s.early, m.Seq)
		s.ahead -= len(m.Data)
		c := bus.Chunk{Attempt: s.attempt, Seq: s.next, Node: m.Node, Data: m.Data}.From(m.chunk)
		if m.After != nil && m.Seq == 0 && s.attempt != s.run {
			c.Continues = &bus.Continues{Attempt: m.Attempt, Lost: s.lost}
		}
		s.next++
		s.chunks = append(s.chunks, c)
		for s.size += len(m.Data); s.size > streamBytes && len(s.chunks) > 1; s.chunks = s.chunks[1:] {
			s.size -= len(s.chunks[0].Data)
		}
		moved = true
	}
	if s.pending != nil && s.next-s.base >= s.pending.Chunks && !s.held {
		s.finish(*s.pending)
		return
	}
	if moved {
		s.wake()
	}
}

func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// finish ends the stream. The caller holds mu.
func (s *stream) finish(f Final) {
	if s.end == nil {
		attempt, total := max(f.Attempt, s.attempt), s.next
		if f.Nonce == s.nonce && s.nonce != "" || (f.Node == "" || f.Unrun) && s.next > 0 { // what was shown stays
			attempt = s.attempt
			if f.Nonce == s.nonce {
				total = max(total, s.base+f.Chunks)
			}
		} else if f.State == bus.StateDone && s.next > 0 {
			// The result of another run than the one that was shown: to a reader it starts anew.
			attempt = max(f.Attempt, s.attempt+1)
			s.next, s.chunks, total = 0, nil, 0
		}
		s.final = &f
		info := bus.TaskInfo{ID: f.Task}
		f.tell(&info)
		s.end = &bus.Chunk{Attempt: attempt, Seq: total, Node: f.Node, End: &info}
		clear(s.early)
		s.wake()
	}
}

// close ends the stream with f. Output of it that is missing, which f may have overtaken, is waited for a moment: gap is its
// first chunk then, and -1 else.
func (s *stream) close(f Final, now time.Time) (gap int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nonce == "" && f.Nonce != "" && f.Chunks > 0 && s.readers.some() { // they have heard nothing of it yet
		s.begin(endMsg(f))
	}
	due := s.pending != nil && now.Sub(s.since) > gapWait
	if s.end != nil || due || s.nonce == "" || f.Nonce != s.nonce || s.next-s.base >= f.Chunks {
		s.finish(f)
		return -1
	}
	s.held, s.closed, s.fence = false, true, 0
	if s.pending == nil {
		s.pending, s.since = &f, now
	}
	return s.next - s.base
}

// cut ends the stream with the end that waits for output, where one does.
func (s *stream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		s.finish(*s.pending)
	}
}

// overdue returns the end that has waited too long for output that is missing.
func (s *stream) overdue(now time.Time) *Final {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil && s.end == nil && now.Sub(s.since) > gapWait {
		return s.pending
	}
	return nil
}

// Output reads the output of a task.
type Output struct {
	s      *stream
	at     bus.Place
	done   bool
	info   func(*bus.TaskInfo)
	now    func() time.Time
	over   <-chan struct{} // closed once its node takes no more part in the swarm; nil: never
	joined bool
}

// errOver tells a reader that its node has left the swarm, or stops: nothing more comes.
var errOver = bus.Errorf(bus.CodeUnavailable, "this node has left its swarm, or stops, and the task had not ended").WithHint("ask again")

// readers are those who read the output of an attached task, and have not come to its end.
type readers struct {
	mu sync.Mutex
	n  int
	at time.Time // when one of them last came, read or left
}

func (r *readers) note(now time.Time, more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n, r.at = r.n+more, now
}

// some reports whether somebody reads.
func (r *readers) some() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n > 0
}

// want reports whether somebody may come for the result: who still reads, or has just read its end.
func (r *readers) want(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n > 0 && now.Sub(r.at) < readerFor || now.Sub(r.at) < memoryFor
}

func newOutput(s *stream, now func() time.Time) *Output {
	o := &Output{s: s, now: now}
	o.reads(true)
	return o
}

// reads notes that o reads, or that it left.
func (o *Output) reads(on bool) {
	more := boolInt(on) - boolInt(o.joined)
	o.joined = on
	o.s.readers.note(o.now(), more)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Next returns the next chunk, and io.EOF after the one that has End set. A chunk of a higher
// attempt starts anew: what earlier attempts said is void. Where the reader is so late that
// chunks are gone, Seq jumps, and the End warns of it. An error is why ctx has ended, or CodeUnavailable where the node takes no
// more part in the swarm.
func (o *Output) Next(ctx context.Context) (bus.Chunk, error) {
	for !o.done {
		o.reads(true)
		o.s.mu.Lock()
		c, ok := o.s.at(o.at.Attempt, o.at.Next)
		changed := o.s.changed
		o.s.mu.Unlock()
		if ok {
			o.done = c.End != nil
			o.reads(!o.done)
			if c.End != nil && o.info != nil {
				end := *c.End
				o.info(&end)
				c.End = &end
			}
			return o.at.Read(c), nil
		}
		select {
		case <-changed:
		case <-o.over:
			o.s.cut() // an end that waits for output is the end
			o.s.mu.Lock()
			_, more := o.s.at(o.at.Attempt, o.at.Next)
			o.s.mu.Unlock()
			if !more {
				o.reads(false)
				return bus.Chunk{}, errOver
			}
		case <-ctx.Done():
			o.reads(false)
			return bus.Chunk{}, context.Cause(ctx)
		}
	}
	return bus.Chunk{}, io.EOF
}

// at returns what a reader at (attempt, seq) reads next.
func (s *stream) at(attempt, seq int) (bus.Chunk, bool) {
	if attempt < s.attempt {
		attempt, seq = s.attempt, min(seq, 0)
	}
	if attempt == s.attempt && len(s.chunks) > 0 && seq < s.next {
		return s.chunks[max(0, seq-s.chunks[0].Seq)], true
	}
	if s.end != nil {
		return *s.end, true
	}
	return bus.Chunk{}, false
}

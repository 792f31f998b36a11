package daemon

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	// parcelLife is how long content waits for its next piece to be sent or fetched, and lentLife how long it waits for one
	// who is still there: who reads an output slowly comes to its end late.
	parcelLife = time.Minute
	lentLife   = 10 * time.Minute
	// parcelRoom bounds, in bytes, what is on its way between this daemon and its programs.
	parcelRoom = 2 * bus.MaxPayload
)

// parcels are payloads and results over bus.MaxInline on their way between the daemon and programs
// of this machine, in memory.
type parcels struct {
	mu   sync.Mutex
	all  map[string]*parcel // by token
	size int64              // of all, as announced, and of what was taken and is not kept yet
}

type parcel struct {
	blob bus.Blob
	in   bool // from a program
	data []byte
	idle *time.Timer

	wanted func() bool // whoever it is lent to is there; nil: for longer than parcelLife nobody is
	until  time.Time   // however long it is wanted
}

func newParcels() *parcels { return &parcels{all: map[string]*parcel{}} }

// reserve counts size bytes as on their way, before they are in memory: whoever drops the parcel that
// is made of them, or calls count, gives them back.
func (p *parcels) reserve(size int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size+size > parcelRoom {
		return bus.Errorf(bus.CodeBusy, "%d MiB of large payloads and results are on their way here: the limit is %d MiB", p.size>>20, int64(parcelRoom)>>20)
	}
	p.size += size
	return nil
}

// add makes a parcel, for which room was reserved.
func (p *parcels) add(b bus.Blob, c *parcel) bus.Blob {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.Token = nuid.Next()
	c.blob, c.until = b, time.Now().Add(lentLife)
	c.idle = time.AfterFunc(parcelLife, func() { p.expire(b.Token) })
	p.all[b.Token] = c
	return b
}

// expire drops a parcel that is not wanted any more.
func (p *parcels) expire(token string) {
	p.mu.Lock()
	c := p.all[token]
	p.mu.Unlock()
	if c != nil && c.wanted != nil && time.Now().Before(c.until) && c.wanted() {
		c.idle.Reset(parcelLife)
		return
	}
	p.drop(token)
}

// begin announces what a program sends.
func (p *parcels) begin(_ context.Context, b bus.Blob) (any, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if err := p.reserve(b.Size); err != nil {
		return nil, err
	}
	return p.add(b, &parcel{in: true}), nil
}

// lend offers data for a program to fetch, for longer than parcelLife as long as wanted, where it is not nil, says so.
func (p *parcels) lend(data []byte, wanted func() bool) (bus.Blob, error) {
	b := bus.BlobOf(data)
	if err := p.reserve(b.Size); err != nil {
		return b, err
	}
	return p.add(b, &parcel{data: data, wanted: wanted}), nil
}

func (p *parcels) drop(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.all[token]; c != nil {
		c.idle.Stop()
		p.size -= c.blob.Size
		delete(p.all, token)
	}
}

func errNoParcel() error {
	return bus.Errorf(bus.CodeNotFound, "nothing is handed over under this token: it may have waited for too long")
}

// receive takes one piece from a program.
func (p *parcels) receive(token string, offset int64, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.all[token]
	switch {
	case c == nil || !c.in:
		return errNoParcel()
	case offset != int64(len(c.data)) || offset+int64(len(data)) > c.blob.Size:
		return bus.Errorf(bus.CodeInvalid, "a piece of %d bytes at %d, where %d of %d are there", len(data), offset, len(c.data), c.blob.Size)
	}
	if c.data == nil {
		c.data = make([]byte, 0, c.blob.Size)
	}
	c.data = append(c.data, data...)
	c.idle.Reset(parcelLife)
	return nil
}

// take returns what a program has sent, once all of it is there.
func (p *parcels) take(b bus.Blob) ([]byte, error) {
	p.mu.Lock()
	c := p.all[b.Token]
	p.mu.Unlock()
	if c == nil || !c.in {
		return nil, errNoParcel()
	}
	p.drop(b.Token) // nothing is added any more
	if !c.blob.Is(c.data) {
		return nil, bus.Errorf(bus.CodeInvalid, "what was sent, %d bytes, is not what was announced", len(c.data))
	}
	return c.data, nil
}

// piece returns what a program fetches next. With the last piece the parcel is gone.
func (p *parcels) piece(token string, offset int64) ([]byte, error) {
	p.mu.Lock()
	c := p.all[token]
	p.mu.Unlock()
	if c == nil || c.in || offset < 0 || offset > c.blob.Size {
		return nil, errNoParcel()
	}
	c.idle.Reset(parcelLife)
	end := min(offset+bus.BlobPiece, c.blob.Size)
	if end == c.blob.Size {
		p.drop(token)
	}
	return c.data[offset:end], nil
}

// unpack puts the payload into t that a client has sent before. It is counted as on its way until
// done is called.
func (p *parcels) unpack(t *bus.Task, b *bus.Blob) (done func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	if t.Payload, err = p.take(*b); err != nil {
		return nil, err
	}
	n := int64(len(t.Payload))
	p.count(n)
	return func() { p.count(-n) }, nil
}

func (p *parcels) count(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size += n
}

// pack takes a result out of t that no message takes, and offers it to the client that is told.
func (p *parcels) pack(t *bus.TaskInfo, wanted func() bool) error {
	if len(t.Result) == 0 {
		return nil
	}
	b, err := p.lend(t.Result, wanted)
	if err == nil {
		t.Result, t.ResultBlob = nil, &b
	}
	return err
}

// told makes of t what its client is told: a large result is fetched from where it is kept, once there
// is room for it, and offered: to who reads a whole output first as long as he listens on inbox, which is empty where he waits
// for the answer alone. CodeBusy: there is none.
func (d *Daemon) told(ctx context.Context, n *sched.Node, inbox string, t *bus.TaskInfo) error {
	var wanted func() bool
	if inbox != "" {
		wanted = func() bool { return d.fabric.Interest(inbox) }
	}
	if t.ResultBlob == nil {
		if len(t.Result) <= bus.MaxInline/6 { // it fits, whatever it is made of
			return nil
		}
		if text, err := bus.Marshal(t.Result); err == nil && len(text) <= bus.MaxInline {
			return nil
		}
		return d.parcels.pack(t, wanted)
	}
	b := *t.ResultBlob
	if err := d.parcels.reserve(b.Size); err != nil {
		return bus.AsError(err).WithHint("the result is kept, ask again: myco task show %s", t.ID)
	}
	if err := n.Whole(ctx, t); err != nil {
		d.parcels.count(-b.Size)
		return err
	}
	b = d.parcels.add(b, &parcel{data: t.Result, wanted: wanted})
	t.Result, t.ResultBlob = nil, &b
	return nil
}

// serveParcels answers for pieces.
func (s *rpcServer) serveParcels() error {
	id, p := s.d.id.NodeID(), s.d.parcels
	for verb, do := range map[string]func(token string, m *nats.Msg) ([]byte, error){
		bus.VerbUpload: func(token string, m *nats.Msg) ([]byte, error) {
			offset, err := strconv.ParseInt(m.Header.Get(bus.HeaderOffset), 10, 64)
			if err != nil {
				return nil, bus.Errorf(bus.CodeInvalid, "the offset of a piece: %w", err)
			}
			return nil, p.receive(token, offset, m.Data)
		},
		bus.VerbDownload: func(token string, m *nats.Msg) ([]byte, error) {
			offset, err := strconv.ParseInt(string(m.Data), 10, 64)
			if err != nil {
				return nil, bus.Errorf(bus.CodeInvalid, "the offset of a piece: %w", err)
			}
			return p.piece(token, offset)
		},
	} {
		_, err := s.d.rpc.Subscribe(bus.SubjectPayloadRPC(id, verb)+".*", func(m *nats.Msg) {
			if !s.d.isInbox(m.Reply) {
				return
			}
			data, err := do(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], m)
			out := &nats.Msg{Subject: m.Reply, Data: data}
			if err != nil {
				out, err = s.message(m.Reply, nil, err)
			}
			if err == nil {
				err = s.d.rpc.PublishMsg(out)
			}
			if err != nil {
				s.d.log.Warn("answer for a piece", "err", err)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

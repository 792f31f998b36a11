package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// HeaderOffset is set on a piece that is sent to a daemon: where in the whole it begins, in bytes.
const HeaderOffset = "Myco-Offset"

// HeaderBlob is set, to "1", on a reply that no message takes: its body is the Blob of it.
const HeaderBlob = "Myco-Blob"

// largeLimit is how long a daemon may take for a request whose payload is a Blob: it may write it to
// two disks first.
const largeLimit = 5 * time.Minute

// fits reports whether data may travel within a message. Daemons of before write '<', '>' and '&' as six bytes.
func fits(data []byte) bool {
	n := len(data)
	if n > MaxInline/6 {
		for _, c := range []string{"<", ">", "&"} {
			n += 5 * bytes.Count(data, []byte(c))
		}
	}
	return n <= MaxInline
}

// handOver takes the payload out of t where no message takes it, and gives it to the daemon.
func (c *Conn) handOver(ctx context.Context, t *Task) (*Blob, error) {
	if fits(t.Payload) {
		return nil, nil //nolint:nilnil // there is nothing to hand over
	}
	b, err := c.upload(ctx, t.Payload)
	t.DropPayload()
	return b, err
}

// upload hands data over to the daemon, piece after piece. The daemon keeps it for a minute.
func (c *Conn) upload(ctx context.Context, data []byte) (*Blob, error) {
	subject := SubjectPayloadRPC(c.NodeID(), VerbUpload)
	b, err := call[Blob](ctx, c, subject, BlobOf(data))
	if err != nil {
		return nil, err
	}
	for offset := 0; offset < len(data); offset += BlobPiece {
		m := &nats.Msg{
			Subject: subject + "." + b.Token, Header: nats.Header{HeaderOffset: {strconv.Itoa(offset)}},
			Data: data[offset:min(offset+BlobPiece, len(data))],
		}
		if _, err := c.piece(ctx, m); err != nil {
			return nil, err
		}
	}
	return &b, nil
}

// download fetches what the daemon hands over as b.
func (c *Conn) download(ctx context.Context, b *Blob) ([]byte, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	data := make([]byte, 0, b.Size)
	for int64(len(data)) < b.Size {
		m, err := c.piece(ctx, &nats.Msg{
			Subject: SubjectPayloadRPC(c.NodeID(), VerbDownload) + "." + b.Token, Data: strconv.AppendInt(nil, int64(len(data)), 10),
		})
		if err != nil {
			return nil, err
		}
		if len(m.Data) == 0 || int64(len(data)+len(m.Data)) > b.Size {
			return nil, Errorf(CodeInternal, "the daemon sent %d bytes at %d of %d", len(m.Data), len(data), b.Size)
		}
		data = append(data, m.Data...)
	}
	if !b.Is(data) {
		return nil, Errorf(CodeInternal, "%d bytes that the daemon sent are not those that it told of", b.Size)
	}
	return data, nil
}

// piece makes one request of an upload or a download.
func (c *Conn) piece(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	leave, err := c.enter(ctx, len(m.Data))
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := c.within(ctx, rpcLimit)
	defer cancel(nil)
	r, err := c.request(ctx, m)
	if err != nil {
		return nil, err
	}
	if r.Header.Get(HeaderError) != "" {
		return nil, decode(r, &json.RawMessage{})
	}
	return r, nil
}

// unfold returns a reply as it is where no message takes it: m tells where it is to be had.
func (c *Conn) unfold(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	if m.Header.Get(HeaderBlob) == "" {
		return m, nil
	}
	var b Blob
	if err := Unmarshal(m.Data, &b); err != nil {
		return nil, Errorf(CodeInternal, "decode the daemon's reply: %w", err)
	}
	data, err := c.download(ctx, &b)
	return &nats.Msg{Data: data}, err
}

// whole fetches the result that t, the end of an output, stands for. One that another daemon told of is asked for here, and
// so is one that the daemon does not hand over any more, since the end was read late.
func (c *Conn) whole(ctx context.Context, t *TaskInfo) error {
	if t == nil || t.ResultBlob == nil {
		return nil
	}
	var late error
	if t.ResultBlob.Token != "" {
		if late = c.fetch(ctx, t); !errors.Is(late, &Error{Code: CodeNotFound}) {
			return late
		}
	}
	info, err := c.Task(ctx, t.ID)
	switch {
	case err == nil:
		t.Result, t.ResultBlob = info.Result, nil
	case late != nil && !t.Durable && errors.Is(err, &Error{Code: CodeUnavailable}) && ctx.Err() == nil:
		return late // the result of an attached task is gone once it was told: no node is away that has it
	}
	return err
}

// fetch fetches the result that t stands for, where there is one to fetch.
func (c *Conn) fetch(ctx context.Context, t *TaskInfo) error {
	if t.ResultBlob == nil {
		return nil
	}
	data, err := c.download(ctx, t.ResultBlob)
	if err == nil {
		t.Result, t.ResultBlob = data, nil
	}
	return err
}

package jet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/sched"
)

var _ sched.Blobs = (*Jet)(nil)

const (
	// blobPatience is how long a node may take to answer for one piece. The last one waits for the
	// disk to have synced the rest.
	blobPatience = 30 * time.Second
	// blobIdle is how long an upload may stay without its next piece.
	blobIdle = time.Minute
	// blobCalls is how many requests for pieces are answered from the disk at one time.
	blobCalls = 64
	// blobWaits is how many may wait for that. Whoever asks gives up, and asks again: on a disk that hangs they would be
	// more and more.
	blobWaits = 1024
)

// Operations on bus.SubjectBlob.
const (
	blobPut = "put"
	blobGet = "get"
	blobHas = "has"
)

// Headers of a request for a blob. Answers have hdrWhyNot where it failed, and hdrCode where that
// is an Error.
const (
	hdrBlob   = "Myco-Blob"   // see blobName
	hdrSize   = "Myco-Size"   // of the whole blob
	hdrOffset = "Myco-Offset" // of the piece
	hdrUpload = "Myco-Upload" // a token of one upload
	hdrMemory = "Myco-Memory" // set: into memory
	hdrCode   = "Myco-Code"
	notWhole  = "corrupt" // hdrWhyNot: the bytes are others
)

// PutBlob keeps data at a node.
func (j *Jet) PutBlob(ctx context.Context, at bus.NodeID, id sched.BlobID, memory bool, data []byte) error {
	err := validContent(id)
	switch {
	case err != nil:
	case at != j.cfg.Node:
		err = j.sendBlob(ctx, at, id, memory, data)
	case memory:
		err = j.blobs.remember(id, data)
	default:
		err = j.blobs.write(ctx, id, data)
	}
	if err != nil {
		return fmt.Errorf("keep %s at %s: %w", blobName(id), at, err)
	}
	return nil
}

// validContent checks a blob's name and its size.
func validContent(id sched.BlobID) error {
	if err := id.Validate(); err != nil {
		return err
	}
	return bus.Blob{SHA256: id.SHA256, Size: id.Size}.Validate()
}

func (j *Jet) sendBlob(ctx context.Context, at bus.NodeID, id sched.BlobID, memory bool, data []byte) error {
	upload := nuid.Next()
	for offset := 0; offset < len(data); offset += bus.BlobPiece {
		m := blobRequest(at, blobPut, id, int64(offset))
		m.Header[hdrUpload] = []string{upload}
		if memory {
			m.Header[hdrMemory] = []string{"1"}
		}
		m.Data = data[offset:min(offset+bus.BlobPiece, len(data))]
		if _, err := j.askBlob(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// GetBlob returns a blob that a node has, once its hash is checked.
func (j *Jet) GetBlob(ctx context.Context, at bus.NodeID, id sched.BlobID) ([]byte, error) {
	data, err := j.readBlob(ctx, at, id)
	if err != nil {
		return nil, fmt.Errorf("fetch %s from %s: %w", blobName(id), at, err)
	}
	return data, nil
}

func (j *Jet) readBlob(ctx context.Context, at bus.NodeID, id sched.BlobID) ([]byte, error) {
	if err := validContent(id); err != nil {
		return nil, err
	}
	if at == j.cfg.Node {
		return j.blobs.read(id)
	}
	data := make([]byte, 0, id.Size)
	for int64(len(data)) < id.Size {
		m, err := j.askBlob(ctx, blobRequest(at, blobGet, id, int64(len(data))))
		if err != nil {
			return nil, err
		}
		if len(m.Data) == 0 || int64(len(data)+len(m.Data)) > id.Size {
			return nil, fmt.Errorf("%w: a piece of %d bytes at %d of %d", sched.ErrCorrupt, len(m.Data), len(data), id.Size)
		}
		data = append(data, m.Data...)
	}
	return data, checkBlob(id, data)
}

func checkBlob(id sched.BlobID, data []byte) error {
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != id.SHA256 && !protect.Hash.Off() {
		return fmt.Errorf("%w: its SHA-256 is %x", sched.ErrCorrupt, sum)
	}
	return nil
}

// HasBlob asks a node whether it has a blob.
func (j *Jet) HasBlob(ctx context.Context, at bus.NodeID, id sched.BlobID) error {
	if err := id.Validate(); err != nil {
		return err
	}
	if at == j.cfg.Node {
		return j.blobs.has(id)
	}
	_, err := j.askBlob(ctx, blobRequest(at, blobHas, id, 0))
	return err
}

// HeldBlobs returns what this node has, in memory and on disk.
func (j *Jet) HeldBlobs() ([]sched.HeldBlob, error) { return j.blobs.list() }

// DropBlob deletes a blob of this node.
func (j *Jet) DropBlob(id sched.BlobID) error {
	if err := id.Validate(); err != nil {
		return err
	}
	return j.blobs.drop(id)
}

func blobRequest(at bus.NodeID, op string, id sched.BlobID, offset int64) *nats.Msg {
	return &nats.Msg{Subject: bus.SubjectBlob(at, op), Header: nats.Header{
		hdrBlob: {blobName(id)}, hdrSize: {strconv.FormatInt(id.Size, 10)}, hdrOffset: {strconv.FormatInt(offset, 10)},
	}}
}

// askBlob sends a request to a node, and reads why it failed there.
func (j *Jet) askBlob(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	r, err := j.fabric.requestWithin(ctx, m, blobPatience)
	if err != nil {
		return nil, err
	}
	switch not := r.Header.Get(hdrWhyNot); not {
	case "":
		return r, nil
	case notThere:
		return nil, sched.ErrNotFound
	case notWhole:
		return nil, sched.ErrCorrupt
	default:
		return nil, bus.Errorf(bus.Code(cmp.Or(r.Header.Get(hdrCode), string(bus.CodeInternal))), "%s", not)
	}
}

// serveBlobs answers other nodes' requests.
func (j *Jet) serveBlobs() error {
	all := bus.SubjectBlob(j.cfg.Node, "")
	sub, err := subscribeAll(j.fabric.nc, all+"*", func(m *nats.Msg) {
		memory := m.Header.Get(hdrMemory) != "" || j.blobs.remembers(m.Header.Get(hdrBlob))
		op := strings.TrimPrefix(m.Subject, all)
		if !j.blobs.run(!memory, func() { j.answerBlob(op, m) }) {
			j.tellBlob(m, nil, bus.Errorf(bus.CodeBusy, "%d requests wait for the disk of %s already", blobWaits, j.cfg.Node))
			j.refusals.Do("blobs", func() {
				j.log.Warn("too many wait for large content: the disk hangs", "dir", j.blobs.dir, "waiting", blobWaits)
			})
		}
	})
	if err != nil {
		return fmt.Errorf("answer for blobs: %w", err)
	}
	j.blobs.sub = sub
	return nil
}

func (j *Jet) answerBlob(op string, m *nats.Msg) {
	data, err := j.doBlob(op, m)
	if err != nil && !errors.Is(err, sched.ErrNotFound) && !errors.Is(err, sched.ErrCorrupt) {
		j.log.Warn("answer for a blob", "blob", m.Header.Get(hdrBlob), "op", op, "err", err)
	}
	j.tellBlob(m, data, err)
}

// tellBlob answers m with data, or with err.
func (j *Jet) tellBlob(m *nats.Msg, data []byte, err error) {
	out := &nats.Msg{Subject: m.Reply, Header: nats.Header{}, Data: data}
	switch {
	case err == nil:
	case errors.Is(err, sched.ErrNotFound):
		out.Header.Set(hdrWhyNot, notThere)
	case errors.Is(err, sched.ErrCorrupt):
		out.Header.Set(hdrWhyNot, notWhole)
	default:
		out.Header.Set(hdrWhyNot, strings.Map(oneLine, err.Error()))
		if e, ok := errors.AsType[*bus.Error](err); ok {
			out.Header.Set(hdrCode, string(e.Code))
		}
	}
	if err := j.fabric.nc.PublishMsg(out); err != nil {
		j.log.Debug("answer for a blob", "err", err)
	}
}

// oneLine keeps a header's value in its line.
func oneLine(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

func (j *Jet) doBlob(op string, m *nats.Msg) ([]byte, error) {
	id, err := parseBlobName(m.Header.Get(hdrBlob))
	if err != nil {
		return nil, err
	}
	if id.Size, err = strconv.ParseInt(m.Header.Get(hdrSize), 10, 64); err != nil || id.Size <= 0 || id.Size > bus.MaxPayload {
		return nil, bus.Errorf(bus.CodeInvalid, "a size of %q", m.Header.Get(hdrSize))
	}
	offset, err := strconv.ParseInt(m.Header.Get(hdrOffset), 10, 64)
	if err != nil || offset < 0 {
		return nil, bus.Errorf(bus.CodeInvalid, "an offset of %q", m.Header.Get(hdrOffset))
	}
	switch op {
	case blobHas:
		return nil, j.blobs.has(id)
	case blobGet:
		return j.blobs.piece(id, offset)
	case blobPut:
		return nil, j.blobs.receive(id, m.Header.Get(hdrUpload), m.Header.Get(hdrMemory) != "", offset, m.Data)
	}
	return nil, bus.Errorf(bus.CodeInvalid, "no operation %q", op)
}

// blobName is a file name: <task>.in.<hash> for a payload, <task>.out.<hash> for a result. Task ids
// hold no dot.
func blobName(id sched.BlobID) string {
	kind := "in"
	if id.Result {
		kind = "out"
	}
	return string(id.Task) + "." + kind + "." + id.SHA256
}

func parseBlobName(name string) (sched.BlobID, error) {
	p := strings.Split(name, ".")
	if len(p) != 3 || p[1] != "in" && p[1] != "out" {
		return sched.BlobID{}, bus.Errorf(bus.CodeInvalid, "%q names no blob", name)
	}
	id := sched.BlobID{Task: bus.TaskID(p[0]), Result: p[1] == "out", SHA256: p[2]}
	if err := id.Validate(); err != nil {
		return sched.BlobID{}, bus.Errorf(bus.CodeInvalid, "%q names no blob: %w", name, err)
	}
	return id, nil
}

package jet_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

func largeBlob(id bus.TaskID) (sched.BlobID, []byte) {
	data := bytes.Repeat([]byte("mycelium"), 3*bus.BlobPiece/8)
	b := bus.BlobOf(data)
	return sched.BlobID{Task: id, SHA256: b.SHA256, Size: b.Size}, data
}

// files returns the names of what node n has on disk.
func (n *node) files(tb testing.TB) []string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(n.dir, "blobs", "*"))
	check(tb, err)
	return names
}

// One byte that is another on disk is noticed by whoever fetches it, near and far.
func TestBlobIsDamaged(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 2, 0)
	id, data := largeBlob("t1")
	check(t, nodes[0].jet.PutBlob(t.Context(), nodes[0].ID, id, false, data))
	names := nodes[0].files(t)
	if len(names) != 1 {
		t.Fatalf("files %v, want one", names)
	}
	bad := bytes.Clone(data)
	bad[len(bad)/2] ^= 1
	for what, content := range map[string][]byte{"flipped": bad, "cut": data[:len(data)-1], "empty": nil} {
		check(t, os.WriteFile(names[0], content, 0o600))
		for _, from := range nodes {
			if _, err := from.jet.GetBlob(t.Context(), nodes[0].ID, id); !errors.Is(err, sched.ErrCorrupt) {
				t.Errorf("%s, fetched by %s: error %v, want %v", what, from.ID, err, sched.ErrCorrupt)
			}
			if err := from.jet.HasBlob(t.Context(), nodes[0].ID, id); errors.Is(err, sched.ErrNotFound) != (len(content) < len(data)) {
				t.Errorf("%s, asked for by %s: error %v: what is cut short is no copy", what, from.ID, err)
			}
		}
	}
	check(t, nodes[1].jet.PutBlob(t.Context(), nodes[0].ID, id, false, data)) // mended
	if got, err := nodes[1].jet.GetBlob(t.Context(), nodes[0].ID, id); err != nil || !bytes.Equal(got, data) {
		t.Errorf("mended: %d bytes, error %v", len(got), err)
	}
}

// piece sends one piece of an upload to n, and returns why it was refused.
func (n *node) piece(t *testing.T, to *node, id sched.BlobID, upload string, offset int, data []byte) string {
	t.Helper()
	m := &nats.Msg{Subject: bus.SubjectBlob(to.ID, "put"), Data: data, Header: nats.Header{
		"Myco-Blob": {string(id.Task) + ".in." + id.SHA256}, "Myco-Size": {strconv.FormatInt(id.Size, 10)},
		"Myco-Offset": {strconv.Itoa(offset)}, "Myco-Upload": {upload},
	}}
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	r, err := n.fabric.RequestMsgWithContext(ctx, m)
	check(t, err)
	return r.Header.Get("Myco-Not")
}

// An upload that breaks off, or turns out to be something else, leaves nothing.
func TestBlobUploadBreaksOff(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 2, 0)
	from, to := nodes[0], nodes[1]
	id, data := largeBlob("t1")
	half := bus.BlobPiece
	missing := func(what string) {
		t.Helper()
		if err := from.jet.HasBlob(t.Context(), to.ID, id); !errors.Is(err, sched.ErrNotFound) {
			t.Errorf("%s: error %v, want %v", what, err, sched.ErrNotFound)
		}
	}
	if why := from.piece(t, to, id, "u1", 0, data[:half]); why != "" {
		t.Fatalf("the first piece is refused: %s", why)
	}
	missing("half of it")
	if why := from.piece(t, to, id, "u1", 0, data[:half]); why == "" {
		t.Error("a piece is taken twice")
	}
	if why := from.piece(t, to, id, "u2", half, data[half:2*half]); why == "" {
		t.Error("an upload begins in the middle")
	}
	if why := from.piece(t, to, sched.BlobID{Task: "t2", SHA256: id.SHA256, Size: id.Size}, "u1", half, data[half:2*half]); why == "" {
		t.Error("another blob goes on with an upload")
	}
	if n := len(to.files(t)); n != 1 {
		t.Errorf("%d files are there, want the one that is not whole", n)
	}
	to.stop(t)
	if names := to.files(t); len(names) != 0 {
		t.Errorf("an unfinished upload left %v", names)
	}
	check(t, os.WriteFile(filepath.Join(to.dir, "blobs", "part.1234"), data[:half], 0o600)) // as a process that is killed leaves it
	to.start(t)
	if names := to.files(t); len(names) != 0 {
		t.Errorf("a start left %v", names)
	}
	fabrictest.Eventually(t, func() bool { return from.Fabric.Interest(bus.SubjectBlob(to.ID, "put")) }, "the node answers for blobs again")
	other := bytes.Clone(data)
	other[7] ^= 1
	for offset, why := 0, ""; offset < len(other); offset += half {
		why = from.piece(t, to, id, "u3", offset, other[offset:offset+half])
		if last := offset+half == len(other); last != (why == "corrupt") {
			t.Errorf("the piece at %d of other bytes: refused with %q", offset, why)
		}
	}
	missing("other bytes")
	if names := to.files(t); len(names) != 0 {
		t.Errorf("other bytes left %v", names)
	}
	check(t, from.jet.PutBlob(t.Context(), to.ID, id, false, data))
}

// A node without room says so, and takes nothing.
func TestBlobHasNoRoom(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	id, data := largeBlob("t1")
	n.stop(t)
	n.take = func(size int64) (func(int64), error) {
		if size != id.Size {
			t.Errorf("asked for %d bytes, want %d", size, id.Size)
		}
		return nil, bus.Errorf(bus.CodeNoSpace, "full")
	}
	n.start(t)
	if err := n.jet.PutBlob(t.Context(), n.ID, id, false, data); !errors.Is(err, &bus.Error{Code: bus.CodeNoSpace}) {
		t.Errorf("error %v, want %s", err, bus.CodeNoSpace)
	}
	if names := n.files(t); len(names) != 0 {
		t.Errorf("it left %v", names)
	}
}

// A blob that another has named touches no file but its own, whatever it is called.
func TestBlobNamesNoPath(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	good, data := largeBlob("t1")
	outside := filepath.Join(n.dir, "outside")
	check(t, os.WriteFile(outside, data, 0o600))
	is := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
			t.Errorf("%s: %v, want %s", what, err, bus.CodeInvalid)
		}
	}
	for _, id := range []sched.BlobID{
		{Task: "t1", SHA256: "/../../outside", Size: good.Size},
		{Task: "../outside", SHA256: good.SHA256, Size: good.Size},
		{Task: "t1", SHA256: good.SHA256[1:], Size: good.Size},
	} {
		is("drop", n.jet.DropBlob(id))
		is("has", n.jet.HasBlob(t.Context(), n.ID, id))
		for _, memory := range []bool{false, true} {
			is("put", n.jet.PutBlob(t.Context(), n.ID, id, memory, data))
		}
		_, err := n.jet.GetBlob(t.Context(), n.ID, id)
		is("get", err)
	}
	negative := good
	negative.Size = -1
	_, err := n.jet.GetBlob(t.Context(), "myco-000000000000", negative)
	is("get a negative size", err)
	is("put a negative size", n.jet.PutBlob(t.Context(), n.ID, negative, true, data))
	if got, err := os.ReadFile(outside); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file beside is %d bytes, %v", len(got), err)
	}
}

// The room for a blob is given back as it is written, and all of it once.
func TestBlobGivesRoomBack(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	data := bytes.Repeat([]byte("mycelium"), (40<<20)/8)
	b := bus.BlobOf(data)
	var released []int64
	n.stop(t)
	n.take = func(int64) (func(int64), error) {
		return func(bytes int64) { released = append(released, bytes) }, nil
	}
	n.start(t)
	check(t, n.jet.PutBlob(t.Context(), n.ID, sched.BlobID{Task: "t1", SHA256: b.SHA256, Size: b.Size}, false, data))
	if want := []int64{16 << 20, 16 << 20, 8 << 20}; !slices.Equal(released, want) {
		t.Errorf("released %d, want %d", released, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	released = nil
	if err := n.jet.PutBlob(ctx, n.ID, sched.BlobID{Task: "t2", SHA256: b.SHA256, Size: b.Size}, false, data); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
	if want := []int64{40 << 20}; !slices.Equal(released, want) {
		t.Errorf("broken off, it released %d, want %d", released, want)
	}
}

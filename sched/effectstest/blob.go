package effectstest

import (
	"bytes"
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// large is content of three messages, and its name.
func large(id bus.TaskID, result bool, fill byte) (sched.BlobID, []byte) {
	data := bytes.Repeat([]byte{fill}, 2*bus.BlobPiece+100)
	b := bus.BlobOf(data)
	return sched.BlobID{Task: id, Result: result, SHA256: b.SHA256, Size: b.Size}, data
}

// hasBlob wants node i to have a blob, as any node sees it, and to give it to each.
func (e *env) hasBlob(i int, id sched.BlobID, data []byte) {
	e.Helper()
	for from := range 2 {
		e.check(e.Effects(from).HasBlob(e.ctx, e.IDs[i], id))
		if got, err := e.Effects(from).GetBlob(e.ctx, e.IDs[i], id); err != nil || !bytes.Equal(got, data) {
			e.Fatalf("node %d got %d bytes from node %d, error %v; want %d bytes", from, len(got), i, err, len(data))
		}
	}
}

func (e *env) noBlob(i int, id sched.BlobID) {
	e.Helper()
	for from := range 2 {
		e.is(e.Effects(from).HasBlob(e.ctx, e.IDs[i], id), sched.ErrNotFound)
		_, err := e.Effects(from).GetBlob(e.ctx, e.IDs[i], id)
		e.is(err, sched.ErrNotFound)
	}
}

// held returns how many blobs node i has on disk and in memory.
func (e *env) held(i int) string {
	e.Helper()
	all, err := e.Effects(i).HeldBlobs()
	e.check(err)
	disk, memory := 0, 0
	for _, h := range all {
		e.fresh(sched.Kept{Task: h.Task, At: h.At})
		if h.Memory {
			memory++
		} else {
			disk++
		}
	}
	return fmt.Sprintf("%d on disk, %d in memory", disk, memory)
}

func (e *env) holdsBlobs(i int, want string) {
	e.Helper()
	if got := e.held(i); got != want {
		e.Fatalf("node %d has %s, want %s", i, got, want)
	}
}

func testBlobs(e *env) {
	in, payload := large("t1", false, 'a')
	out, result := large("t1", true, 'a')
	for i := range 2 {
		e.noBlob(i, in)
		e.check(e.Effects(0).PutBlob(e.ctx, e.IDs[i], in, false, payload))
		e.check(e.Effects(0).PutBlob(e.ctx, e.IDs[i], in, false, payload)) // again
		e.hasBlob(i, in, payload)
		e.noBlob(i, out)
		e.check(e.Effects(1).PutBlob(e.ctx, e.IDs[i], out, true, result))
		e.hasBlob(i, out, result)
		e.holdsBlobs(i, "1 on disk, 1 in memory")
	}
	e.check(e.Effects(0).DropBlob(in))
	e.check(e.Effects(0).DropBlob(in))
	e.noBlob(0, in)
	e.hasBlob(1, in, payload)
	e.check(e.Effects(1).DropBlob(out))
	e.noBlob(1, out)
	e.hasBlob(0, out, result)
}

func testBlobsRestart(e *env) {
	disk, onDisk := large("t1", false, 'a')
	memory, inMemory := large("t2", false, 'b')
	for i := range 2 {
		e.check(e.Effects(0).PutBlob(e.ctx, e.IDs[i], disk, false, onDisk))
		e.check(e.Effects(0).PutBlob(e.ctx, e.IDs[i], memory, true, inMemory))
	}
	for i := range 2 {
		e.Restart(i)
		e.until(func() bool { return e.Effects(1-i).HasBlob(e.ctx, e.IDs[i], disk) == nil }, "the other reaches it again")
		e.hasBlob(i, disk, onDisk)
		e.noBlob(i, memory)
		e.holdsBlobs(i, "1 on disk, 0 in memory")
	}
}

package batch

import (
	"cmp"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

const (
	// FileMost bounds one file, in bytes.
	FileMost = 200 << 20
	// filesMost bounds what all files take, in bytes, with those that come and the answers of batches under way. Each counts as a
	// fileLeast at least. Nobody may have more than what is left then.
	filesMost, fileLeast = 4 << 30, 4 << 10
	// roomStep is how many bytes more than have come are counted at a time.
	roomStep = 1 << 20
	// Term is how long a file is kept unless its maker wants less, and a batch.
	Term = 30 * 24 * time.Hour
)

// ErrTooLarge is about a file over FileMost.
var ErrTooLarge = bus.Errorf(bus.CodeTooLarge, "the file is over %d MiB", FileMost>>20).WithHint("send it in parts, each for a batch of its own")

// File is one that is kept.
type File struct {
	ID      string    `json:"id"`
	User    string    `json:"user,omitempty"` // as Task.User
	Name    string    `json:"name"`
	Purpose string    `json:"purpose"`
	Bytes   int64     `json:"bytes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

const filePrefix = "file-"

// Create keeps a file of a user, of which content writes up to FileMost bytes and returns the name, the purpose, and since when
// it is there and when it expires: now, and after Term, where these are zero. An error of content is returned as it is.
func (s *Store) Create(user string, content func(io.Writer) (File, error)) (File, error) {
	if err := s.room(user, fileLeast); err != nil {
		return File{}, err
	}
	defer s.arrived(user, fileLeast)
	id := filePrefix + string(bus.NewTaskID())
	f, err := s.fill(id, user, content)
	if err == nil {
		err = s.add(f)
	}
	if err != nil {
		return File{}, errors.Join(err, atomicfile.Remove(s.path(id)))
	}
	return f, nil
}

// fill writes the content of a file.
func (s *Store) fill(id, user string, content func(io.Writer) (File, error)) (File, error) {
	out, err := os.OpenFile(s.path(id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return File{}, s.failed("write a file", err)
	}
	c := &checked{s: s, user: user, out: out}
	defer func() { s.arrived(user, c.held) }()
	f, err := content(c)
	if err == nil {
		if err = out.Sync(); err != nil {
			err = s.failed("write a file", err)
		}
	}
	if closed := out.Close(); err == nil && closed != nil {
		err = s.failed("write a file", closed)
	}
	f.ID, f.User, f.Bytes = id, user, c.n
	if f.Created.IsZero() {
		f.Created = time.Now()
	}
	if f.Expires.IsZero() {
		f.Expires = f.Created.Add(Term)
	}
	return f, err
}

// add has a file whose content is on disk be there.
func (s *Store) add(f File) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	return s.record(f)
}

// record is add for a caller that holds disk.
func (s *Store) record(f File) error {
	if err := s.write(f.ID, f); err != nil {
		return s.failed("write the record of a file", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[f.ID] = &f
	return nil
}

// checked writes the content of a file, as long as there is room.
type checked struct {
	s       *Store
	user    string
	out     *os.File
	n, held int64 // bytes that have come, and that are counted as coming
}

// Write implements io.Writer.
func (c *checked) Write(p []byte) (int, error) {
	if c.n += int64(len(p)); c.n > FileMost {
		return 0, ErrTooLarge
	}
	if c.held < c.n {
		more := c.n - c.held + roomStep
		if err := c.s.room(c.user, more); err != nil {
			return 0, err
		}
		c.held += more
	}
	n, err := c.out.Write(p)
	if err != nil {
		return n, c.s.failed("write a file", err)
	}
	return n, nil
}

// room counts n bytes more of a user as coming, until arrived is told of them, or tells why they are not taken.
func (s *Store) room(user string, n int64) error {
	if err := s.cfg.Room(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, own := s.taken(user)
	if all+own+n > filesMost {
		return bus.Errorf(bus.CodeNoSpace, "this node keeps files of %d GiB, %d MiB of them yours, and no more than as much again may be", filesMost>>30, own>>20).
			WithHint("delete some: DELETE /v1/files/ID")
	}
	s.coming[user] += n
	return nil
}

// taken is what all files take, and those of a user, with what comes. The caller holds mu.
func (s *Store) taken(user string) (all, own int64) {
	own = s.coming[user]
	for _, bytes := range s.coming {
		all += bytes
	}
	for _, f := range s.files {
		bytes := max(f.Bytes, fileLeast)
		if all += bytes; f.User == user {
			own += bytes
		}
	}
	return all, own
}

// full reports whether no answers are taken any more: those of a batch under way may go on where a new file may not come.
func (s *Store) full() bool {
	if s.cfg.Room() != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, _ := s.taken("")
	return all > filesMost
}

// arrived counts n bytes of a user as coming no more.
func (s *Store) arrived(user string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming[user] -= n; s.coming[user] == 0 {
		delete(s.coming, user)
	}
}

// Files lists the files of a user, newest first.
func (s *Store) Files(user string) []File {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []File{}
	for _, f := range s.files {
		if f.User == user {
			out = append(out, *f)
		}
	}
	slices.SortFunc(out, func(a, b File) int { return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID)) })
	return out
}

// File returns a file of a user.
func (s *Store) File(user, id string) (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[id]; f != nil && f.User == user {
		return *f, nil
	}
	return File{}, bus.Errorf(bus.CodeNotFound, "there is no file %q here", id).WithHint("a node has the files that were sent to itself, until they expire")
}

// Content opens a file of a user; the caller closes it.
func (s *Store) Content(user, id string) (*os.File, File, error) {
	f, err := s.File(user, id)
	if err != nil {
		return nil, f, err
	}
	in, err := os.Open(s.path(f.ID))
	if err != nil {
		return nil, f, s.failed("read a file", err)
	}
	return in, f, nil
}

// Remove deletes a file of a user, unless a batch under way reads it. One that is cancelled and waits for the disk ends without it:
// perhaps that is full.
func (s *Store) Remove(user, id string) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if _, err := s.File(user, id); err != nil {
		return err
	}
	if by := s.reader(id); by != "" {
		return bus.Errorf(bus.CodeConflict, "batch %s reads the file", by).WithHint("cancel the batch, or wait for its end")
	}
	return s.drop(id)
}

// reader is the id of a batch under way that needs a file; empty where there is none.
func (s *Store) reader(file string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.batches {
		if w.Input == file && !w.Status.Over() && (w.Status != Cancelling || !w.waits) {
			return w.ID
		}
	}
	return ""
}

// drop deletes a file, its record first: what has none is deleted at the next start. The caller holds disk.
func (s *Store) drop(id string) error {
	if err := atomicfile.Remove(s.path(id + recordExt)); err != nil {
		return s.failed("delete a file", err)
	}
	s.mu.Lock()
	delete(s.files, id)
	s.mu.Unlock()
	if err := atomicfile.Remove(s.path(id)); err != nil {
		return s.failed("delete a file", err)
	}
	return nil
}

package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// Answer is what came of a request.
type Answer struct {
	// Status is that of HTTP, and Body the JSON that came with it.
	Status int
	Body   json.RawMessage
	// ID names the request, empty where nothing does.
	ID string
	// Later tells that it may be answered later: the machine that could is busy or away.
	Later bool
}

// Config sets up a Store. All but Logger is required. The functions are called concurrently.
type Config struct {
	// Dir is the folder, which is made where it is missing.
	Dir string
	// Room tells why the disk takes no more; nil while it does.
	Room func() error
	// Enter waits until a user may ask one request more, and returns the context for it, which ends when the user may not any more, and
	// what is called when it was answered. An error tells why the user asks no more, unless ctx has ended.
	Enter func(ctx context.Context, user string) (within context.Context, leave func(), err error)
	// Ask has a request answered, within what Enter returned.
	Ask func(ctx context.Context, endpoint string, body []byte) Answer
	// Knows reports whether there is such a model for an endpoint, and Holds whether there is such a user: what those had who are no
	// more is deleted.
	Knows func(endpoint, model string) bool
	Holds func(user string) bool
	// Logger gets failures of the disk; default: discards.
	Logger *slog.Logger
}

// Store keeps the files and batches. Its methods may be called concurrently.
type Store struct {
	cfg    Config
	window *semaphore.Weighted
	check  *semaphore.Weighted // one file at a time is looked at

	disk sync.Mutex // held while records change, from before mu is: that is held by nobody who waits for the disk

	mu      sync.Mutex
	files   map[string]*File
	coming  map[string]int64 // bytes of files that are not whole yet, by user
	batches map[string]*work
	begin   func(*work) // has one that is under way go on; nil unless Run does
}

// Open reads what is kept. An error names the folder.
func Open(cfg Config) (*Store, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		cfg: cfg, window: semaphore.NewWeighted(windowUnits), check: semaphore.NewWeighted(1),
		files: map[string]*File{}, coming: map[string]int64{}, batches: map[string]*work{},
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, bus.Errorf(bus.CodeUnavailable, "make the folder of files and batches: %w", err)
	}
	if err := s.load(); err != nil {
		return nil, bus.Errorf(bus.CodeUnavailable, "read the files and batches: %w", err)
	}
	return s, nil
}

// recordExt is behind an id, in the name of what is known of a file or a batch.
const recordExt = ".json"

func (s *Store) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// load reads all records, and deletes what belongs to none of them. A record that cannot be read is passed over.
func (s *Store) load() error {
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, e := range entries {
		id, is := strings.CutSuffix(e.Name(), recordExt)
		if !is {
			continue
		}
		known[id] = true
		if err := s.loadRecord(id); err != nil {
			s.cfg.Logger.Warn("passed over a file or batch that cannot be read", "path", s.path(e.Name()), "err", err)
		}
		if w := s.batches[id]; strings.HasPrefix(id, batchPrefix) && (w == nil || !w.Status.Over()) {
			known[partID(id, answerPart)], known[partID(id, errorPart)] = true, true
		}
	}
	for _, e := range entries {
		if !known[strings.TrimSuffix(e.Name(), recordExt)] {
			if err := atomicfile.Remove(s.path(e.Name())); err != nil {
				s.cfg.Logger.Warn("delete what no file or batch has", "path", s.path(e.Name()), "err", err)
			}
		}
	}
	return nil
}

func (s *Store) loadRecord(id string) error {
	data, err := atomicfile.Read(s.path(id + recordExt))
	if err != nil {
		return err
	}
	if strings.HasPrefix(id, batchPrefix) {
		w := &work{id: id, loaded: true}
		if err := json.Unmarshal(data, &w.Batch); err != nil {
			return err
		}
		if w.ID != id {
			return fmt.Errorf("it is the record of %q", w.ID)
		}
		s.batches[id] = w
		return nil
	}
	f := &File{}
	if err := json.Unmarshal(data, f); err != nil {
		return err
	}
	if f.ID != id {
		return fmt.Errorf("it is the record of %q", f.ID)
	}
	s.files[id] = f
	return nil
}

// write puts a record on disk.
func (s *Store) write(id string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return atomicfile.Write(s.path(id+recordExt), data)
}

// failed is an error of the disk.
func (s *Store) failed(what string, err error) error {
	s.cfg.Logger.Warn(what, "dir", s.cfg.Dir, "err", err)
	code := bus.CodeUnavailable
	if atomicfile.NoRoom(err) {
		code = bus.CodeNoSpace
	}
	return bus.Errorf(code, "%s: %w", what, err)
}

// expire deletes what is old, and what belongs to nobody any more.
func (s *Store) expire(now time.Time) {
	s.disk.Lock()
	defer s.disk.Unlock()
	batches, files := s.old(now)
	for _, w := range batches {
		s.forget(w)
	}
	for _, id := range files {
		_ = s.drop(id) // it is logged
	}
}

// old are the batches and the files that are to be deleted: none that are under way, nor what these read.
func (s *Store) old(now time.Time) (batches []*work, files []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	read := map[string]bool{}
	for _, w := range s.batches {
		switch {
		case !w.Status.Over():
			read[w.Input] = true
		case now.Sub(w.At[Validating]) > Term || !s.cfg.Holds(w.User):
			batches = append(batches, w)
		}
	}
	for id, f := range s.files {
		if (now.After(f.Expires) || !s.cfg.Holds(f.User)) && !read[id] {
			files = append(files, id)
		}
	}
	return batches, files
}

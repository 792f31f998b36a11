package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// SpeedsFile is where a daemon keeps its Speeds, in its data directory.
const SpeedsFile = "speeds.json"

const (
	speedsVersion = 1
	speedsBytes   = 1 << 20 // that are read
	saveEvery     = 30 * time.Second
)

type speedsDoc struct {
	Version int               `json:"version"`
	Models  map[string]*speed `json:"models"`
}

// LoadSpeeds reads the Speeds of an earlier start from dir. With an error they know nothing, and can
// be used: figures are measured again.
func LoadSpeeds(dir string) (*Speeds, error) {
	s := NewSpeeds()
	path := filepath.Join(dir, SpeedsFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil && info.Size() > speedsBytes {
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	var b []byte
	if err == nil {
		b, err = atomicfile.Read(path)
	}
	if err != nil {
		return s, fmt.Errorf("read measured speeds: %w", err)
	}
	var doc speedsDoc
	if err := json.Unmarshal(b, &doc); err != nil {
		return s, fmt.Errorf("read measured speeds: %w", err)
	}
	if doc.Version != speedsVersion {
		return s, fmt.Errorf("read measured speeds: version %d, not %d", doc.Version, speedsVersion)
	}
	for name, one := range doc.Models {
		if one == nil || name != bus.CanonicalModel(name) || len(name) > maxName || len(s.by) == speedsMost ||
			!one.Writing.valid() || !one.Reading.valid() || one.Loading < 0 || one.Loading > time.Hour {
			continue
		}
		one.told = bus.ModelSpeed{
			Writing: figure(0, one.Writing.perSecond()), Reading: figure(0, one.Reading.perSecond()),
			Loading: time.Duration(figure(0, one.Loading.Seconds()) * float64(time.Second)).Round(time.Millisecond),
		}
		s.by[name] = one
	}
	return s, nil
}

// Save writes what is new to dir, in one step.
func (s *Speeds) Save(dir string) error {
	b, err := s.news()
	if err == nil && b != nil {
		err = atomicfile.Write(filepath.Join(dir, SpeedsFile), b)
	}
	if err != nil {
		s.mu.Lock()
		s.dirty = true // it is tried again
		s.mu.Unlock()
		return fmt.Errorf("write measured speeds: %w", err)
	}
	return nil
}

// news is the content of the file; nil where nothing is new since it was asked for. It is written without the lock, for which
// requests wait.
func (s *Speeds) news() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		return nil, nil
	}
	s.dirty = false
	b, err := json.Marshal(speedsDoc{speedsVersion, s.by})
	return append(b, '\n'), err
}

// Keep saves what is new to dir twice a minute and when ctx ends. It returns nil.
func (s *Speeds) Keep(ctx context.Context, dir string, log *slog.Logger) error {
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for ended := false; !ended; {
		select {
		case <-t.C:
		case <-ctx.Done():
			ended = true
		}
		if err := s.Save(dir); err != nil {
			log.Warn("keep measured speeds", "err", err)
		}
	}
	return nil
}

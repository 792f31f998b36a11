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
		b, err = os.ReadFile(path)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		return nil
	}
	b, err := json.Marshal(speedsDoc{speedsVersion, s.by})
	if err != nil {
		return fmt.Errorf("write measured speeds: %w", err)
	}
	f, err := os.CreateTemp(dir, "."+SpeedsFile+".*")
	if err != nil {
		return fmt.Errorf("write measured speeds: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, SpeedsFile))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write measured speeds: %w", err), os.Remove(f.Name()))
	}
	s.dirty = false
	return nil
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

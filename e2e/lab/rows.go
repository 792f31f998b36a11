package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// EnvRows names a file to which a run adds what it reaches, and from which it takes what it has not
// run itself: a row that failed after an hour is run again alone.
const EnvRows = "LAB_ROWS"

// Reached is what runs have reached for the page of the catalogue.
type Reached struct {
	// Rows have Count and Figure, by the key of their fault; Harm is what happened without its
	// protection, by its event.
	Rows map[string]Fault
	Harm map[string]string
	// Versions are those of the programs that were tested, in order.
	Versions []string
}

// line is one fact in the file of EnvRows: a row, or a harm.
type line struct {
	Version string `json:"version"`
	Key     string `json:"key,omitempty"`
	Count   int    `json:"count,omitempty"`
	Figure  string `json:"figure,omitempty"`
	Event   string `json:"event,omitempty"`
	Harm    string `json:"harm,omitempty"`
}

func (r *Reached) add(l line) {
	if r.Rows == nil {
		r.Rows, r.Harm = map[string]Fault{}, map[string]string{}
	}
	if l.Key != "" {
		r.Rows[l.Key] = Fault{Count: l.Count, Figure: l.Figure}
	}
	if l.Event != "" {
		r.Harm[l.Event] = l.Harm
	}
	if !slices.Contains(r.Versions, l.Version) {
		r.Versions = append(r.Versions, l.Version)
	}
}

// Load takes in the file of EnvRows, if that is set and there is one.
func (r *Reached) Load() error {
	f, err := os.Open(os.Getenv(EnvRows))
	if os.Getenv(EnvRows) == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return fmt.Errorf("read %s: %w", f.Name(), err)
		}
		r.add(l)
	}
	return in.Err()
}

// Row notes what the test of a fault has reached, with the version under test.
func (r *Reached) Row(version, key string, count int, figure string) error {
	return r.note(line{Version: version, Key: key, Count: count, Figure: figure})
}

// Without notes what happened without the protection of a fault.
func (r *Reached) Without(version, event, harm string) error {
	return r.note(line{Version: version, Event: event, Harm: harm})
}

// note adds l to r, and to the file of EnvRows.
func (r *Reached) note(l line) error {
	r.add(l)
	path := os.Getenv(EnvRows)
	if path == "" {
		return nil
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

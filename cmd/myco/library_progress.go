package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

const (
	// leftAfter is after how long the time left is told: before, it is a guess.
	leftAfter = 5 * time.Second
	// namedMost is how many documents are named to which the same happened.
	namedMost = 3
)

// takings tell how far an update is: in a person's terminal in one line that stays, and at its end by what went wrong;
// elsewhere in a line for each document. They are held by holdups.mu.
type takings struct {
	began    time.Time
	size     int64  // of what is to be read, in bytes
	behind   int64  // of it
	at       string // what is being read
	troubles map[string][]string
}

// begin is called before the first file of all.
func (u *libraryUpdate) begin(all []work) {
	u.files, u.began, u.troubles = len(all), u.now(), map[string][]string{}
	for _, w := range all {
		u.size += w.info.Size()
	}
	u.standing = len(all) > 1 && u.stands()
}

// show says what is going on.
func (u *libraryUpdate) show(at string) {
	u.at = at
	if u.standing {
		u.stand(fmt.Sprintf("%d of %d%s: %s", u.taken(), u.files, u.left(), oneLine(at)))
	}
}

// left is how long it will take, going by the size of files.
func (u *libraryUpdate) left() string {
	took := u.now().Sub(u.began)
	if took < leftAfter || u.behind == 0 || u.behind >= u.size {
		return ""
	}
	left := time.Duration(float64(took) * float64(u.size-u.behind) / float64(u.behind))
	if left < time.Minute {
		return fmt.Sprintf(", %d s left", int(left.Seconds()))
	}
	return fmt.Sprintf(", %d min left", int(left.Round(time.Minute).Minutes()))
}

// troubled keeps for the end what went wrong with d.
func (u *libraryUpdate) troubled(d library.Document, what string) {
	name := filepath.Base(d.Path)
	what = strings.Replace(what, strconv.Quote(name), "it", 1) // the others are called otherwise
	u.troubles[what] = append(u.troubles[what], oneLine(name))
}

// finish takes the line away that stays, and says in its stead what went wrong, by its kind.
func (u *libraryUpdate) finish() {
	if !u.standing {
		return
	}
	u.erase()
	u.standing = false
	for _, what := range slices.Sorted(maps.Keys(u.troubles)) {
		names := u.troubles[what]
		slices.Sort(names)
		u.hint("[%s, %s: %s]", plural(len(names), "document"), oneLine(what), named(names))
	}
}

// named are the first of names, and how many more there are.
func named(names []string) string {
	told := strings.Join(names[:min(len(names), namedMost)], ", ")
	if more := len(names) - namedMost; more > 0 {
		told += fmt.Sprintf(" and %d more", more)
	}
	return told
}

// missing tells what is not as it should be after an update, of whose sources f was found; nil where all is well.
func (u *libraryUpdate) missing(f found) *bus.Error {
	if len(f.gone) > 0 {
		return bus.Errorf(bus.CodeNotFound, "there is nothing to read in %s at present; what was read of it before stays", strings.Join(f.gone, ", ")).
			WithHint("myco library rm %s %s", u.l.Name, bus.ShellWord(f.gone[0]))
	}
	if gone := u.gone.Load(); gone != nil && u.bare > 0 {
		return bus.Errorf(gone.Code, "%s with passages to be found by words alone: %s", plural(u.bare, "document"), gone.Message).
			WithHint("myco library update %s, once a node has the model; or take another with -m", u.l.Name)
	}
	if u.bare > 0 {
		return bus.Errorf(bus.CodeFailed, "%s with passages to be found by words alone: %s failed at their vectors", plural(u.bare, "document"), u.l.Model).
			WithHint("myco library update %s, which tries again", u.l.Name)
	}
	return nil
}

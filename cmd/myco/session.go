package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// sessionVersion is the format of a session's file.
const sessionVersion = 1

// session is a conversation, as it is kept in a file.
type session struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Saves counts how often it was written, to notice another chat that has it too.
	Saves int `json:"saves"`
	// Model and Node are what the user asked for; empty leaves them to the swarm.
	Model  string     `json:"model,omitempty"`
	Node   bus.NodeID `json:"node,omitempty"`
	System string     `json:"system,omitempty"`
	// Think is how much the model thinks before it answers, see thinkOf.
	Think string `json:"think,omitempty"`
	// Library is the one whose passages come before each question. They are no part of Messages.
	Library string `json:"library,omitempty"`
	// Used is the model that answered last, and Tokens how much it had read and written then.
	Used   string `json:"used,omitempty"`
	Tokens int    `json:"tokens,omitempty"`
	// Messages are the turns that were answered, if only in part.
	Messages []bus.Message `json:"messages"`
	// Unanswered is a question that waits for its answer, or had none.
	Unanswered string `json:"unanswered,omitempty"`
	// Images are the pictures that it is about.
	Images [][]byte `json:"images,omitempty"`
}

// title is what a person calls s.
func (s *session) title() string { return cmp.Or(s.Name, s.ID) }

// first is the first question, on one line.
func (s *session) first() string {
	for _, m := range append(slices.Clone(s.Messages), s.open()) {
		if m.Role == "user" {
			return strings.Join(strings.Fields(m.Content), " ")
		}
	}
	return ""
}

// turns counts the questions that were answered.
func (s *session) turns() (n int) {
	for _, m := range s.Messages {
		if m.Role == "user" {
			n++
		}
	}
	return n
}

// open is the question that waits for its answer.
func (s *session) open() bus.Message {
	return bus.Message{Role: "user", Content: s.Unanswered, Images: s.Images}
}

// sees reports whether there are pictures in the conversation.
func (s *session) sees() bool {
	return slices.ContainsFunc(append(slices.Clone(s.Messages), s.open()), func(m bus.Message) bool { return len(m.Images) > 0 })
}

// request is the task's payload: the whole conversation, and the question that is open. Where it outgrows the
// context, the engine forgets its beginning, before the answer and within it.
func (s *session) request() bus.InferenceRequest {
	messages := append(slices.Clone(s.Messages), s.open())
	think, _ := thinkOf(s.Think) // it was looked at when it was set
	return bus.InferenceRequest{System: s.System, Messages: messages, Think: think, Truncate: true, Shift: true}
}

// answered takes an answer in; what was said of one that was stopped counts too.
func (s *session) answered(text string) {
	if text == "" {
		return // the question stays open
	}
	s.Messages = append(s.Messages, s.open(), bus.Message{Role: "assistant", Content: text})
	s.Unanswered, s.Images = "", nil
}

// again makes the last question the open one; false where there is none.
func (s *session) again() bool {
	if n := len(s.Messages); s.Unanswered == "" && n >= 2 {
		s.Unanswered, s.Images, s.Messages, s.Tokens = s.Messages[n-2].Content, s.Messages[n-2].Images, s.Messages[:n-2], 0
	}
	return s.Unanswered != ""
}

// size estimates how many tokens the conversation has with its open question: what the engine
// counted, and four bytes a token for the rest.
func (s *session) size() int {
	const bytes = 4
	if s.Tokens > 0 {
		return s.Tokens + len(s.Unanswered)/bytes
	}
	n := len(s.System) + len(s.Unanswered)
	for _, m := range s.Messages {
		n += len(m.Content)
	}
	return n / bytes
}

// sessions is the folder with one file for each session, which only its owner reads.
type sessions struct {
	dir string
	now func() time.Time
}

// sessionsOf finds the folder.
func sessionsOf(environ []string, now func() time.Time) sessions {
	return sessions{dir: filepath.Join(stateDir(environ), "chats"), now: now}
}

// stateDir is where the command keeps what lasts: ${XDG_STATE_HOME:-~/.local/state}/mycoswarm.
func stateDir(environ []string) string {
	state := ""
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, "XDG_STATE_HOME="); ok && (v == "" || filepath.IsAbs(v)) {
			state = v
		}
	}
	if state == "" {
		home, err := bus.HomeDir()
		if err != nil {
			home = "."
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "mycoswarm")
}

// start makes a session, in memory.
func (d sessions) start() *session {
	now := d.now()
	unique := string(bus.NewTaskID()) // it begins alike for all of one process
	id := now.UTC().Format("20060102-150405") + "-" + strings.ToLower(unique[len(unique)-6:])
	return &session{Version: sessionVersion, ID: id, Created: now, Updated: now, Messages: []bus.Message{}}
}

func (d sessions) path(id string) string { return filepath.Join(d.dir, id+".json") }

// save replaces s's file. Where another chat has written it meanwhile, or another version of this program, s goes on as
// a copy under a new id, and copied is true: neither loses a word.
func (d sessions) save(s *session) (copied bool, err error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return false, fmt.Errorf("save the conversation: %w", err)
	}
	if old, err := d.read(d.path(s.ID)); err == nil && old.Saves != s.Saves || err != nil && !errors.Is(err, fs.ErrNotExist) {
		fresh := d.start()
		s.ID, s.Name, s.Saves, copied = fresh.ID, "", 0, true
	}
	if s.Saves == 0 && s.Name != "" && d.called(s.Name, s.ID) { // another chat has begun one of this name meanwhile
		s.Name, copied = "", true
	}
	s.Updated = d.now()
	s.Saves++
	b, err := json.MarshalIndent(s, "", " ")
	if err == nil {
		err = atomicfile.Write(d.path(s.ID), b)
	}
	if err != nil {
		s.Saves--
		return copied, fmt.Errorf("save the conversation: %w", err)
	}
	return copied, nil
}

// read reads a session's file. Of one of another version it returns, with the error, what it knows of it.
func (d sessions) read(path string) (*session, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s session
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if s.Version != sessionVersion {
		return &s, fmt.Errorf("%s has format %d, and this myco reads %d: it is of another version", path, s.Version, sessionVersion)
	}
	if s.ID != strings.TrimSuffix(filepath.Base(path), ".json") {
		return nil, fmt.Errorf("%s holds the conversation %q", path, s.ID)
	}
	return &s, nil
}

// unreadable is a session whose file cannot be read, for a reason.
type unreadable struct {
	error
	id, name string    // the name is known of another version's
	written  time.Time // the zero time where nobody knows
}

// list returns what can be read, the latest first, and what is wrong with the rest.
func (d sessions) list() (all []*session, problems []unreadable) {
	entries, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, []unreadable{{error: err}}
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		s, err := d.read(filepath.Join(d.dir, e.Name()))
		if err != nil {
			problems = append(problems, unreadableAs(e, s, err))
			continue
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *session) int {
		return cmp.Or(b.Updated.Compare(a.Updated), strings.Compare(a.ID, b.ID))
	})
	return all, problems
}

// unreadableAs is what is known of a file that cannot be read: s is nil, or what is said within.
func unreadableAs(e fs.DirEntry, s *session, err error) unreadable {
	u := unreadable{error: err, id: strings.TrimSuffix(e.Name(), ".json")}
	if s != nil {
		u.name = s.Name
	}
	if info, err := e.Info(); err == nil {
		u.written = info.ModTime()
	}
	return u
}

// find returns the session that a person means: by name, id or the beginning of an id.
func (d sessions) find(want string) (*session, error) {
	all, problems := d.list()
	for _, s := range all {
		if s.Name == want || s.ID == want {
			return s, nil
		}
	}
	for _, p := range problems {
		if want != "" && (p.name == want || p.id == want) {
			return nil, bus.Errorf(bus.CodeFailed, "%w", p.error).WithHint("myco chat --list")
		}
	}
	var found []*session
	for _, s := range all {
		if want != "" && strings.HasPrefix(s.ID, want) {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, bus.Errorf(bus.CodeInvalid, "%d conversations begin with %q", len(found), want).WithHint("myco chat --list")
	case len(problems) > 0:
		return nil, bus.Errorf(bus.CodeNotFound, "no conversation %q, and %w", want, allOf(problems)).WithHint("myco chat --list")
	}
	return nil, bus.Errorf(bus.CodeNotFound, "no conversation is called %q", want).WithHint("myco chat --list")
}

func allOf(problems []unreadable) error {
	all := make([]error, len(problems))
	for i, p := range problems {
		all[i] = p.error
	}
	return errors.Join(all...)
}

// last returns the session that was used last. Where that cannot be read, the one before is not taken for it.
func (d sessions) last() (*session, error) {
	all, problems := d.list()
	for _, p := range problems {
		switch {
		case len(all) == 0:
			return nil, p.error
		case p.written.After(all[0].Updated):
			return nil, bus.Errorf(bus.CodeFailed, "the last conversation: %w", p.error).WithHint("the one before: myco chat --session %s", bus.ShellWord(all[0].title()))
		}
	}
	if len(all) > 0 {
		return all[0], nil
	}
	return nil, bus.Errorf(bus.CodeNotFound, "no conversation was saved yet").WithHint("myco chat")
}

// name gives s a name that no other has.
func (d sessions) name(s *session, name string) error {
	if !utf8.ValidString(name) || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bus.Errorf(bus.CodeInvalid, "a name has at most 64 bytes, on one line")
	}
	if d.called(name, s.ID) {
		return bus.Errorf(bus.CodeConflict, "another conversation is called %q", name).WithHint("/load %s, or another name", name)
	}
	s.Name = name
	return nil
}

// called reports whether another session than that of the id goes by a name.
func (d sessions) called(name, but string) bool {
	all, _ := d.list()
	return slices.ContainsFunc(all, func(o *session) bool { return o.ID != but && (o.Name == name || o.ID == name) })
}

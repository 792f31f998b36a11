package engine

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// call is the body of both POST /api/generate and POST /api/chat.
type call struct {
	Model    string `json:"model"`
	Prompt   string `json:"prompt"`
	Stream   *bool  `json:"stream"`
	Raw      bool   `json:"raw"`
	Render   bool   `json:"_debug_render_only"`
	Messages []struct {
		Role    string   `json:"role"`
		Content string   `json:"content"`
		Images  [][]byte `json:"images"`
	} `json:"messages"`
}

func (c call) prompt() string {
	if len(c.Messages) > 0 {
		return c.Messages[len(c.Messages)-1].Content
	}
	return c.Prompt
}

func (c call) pictures() [][]byte {
	if len(c.Messages) > 0 {
		return c.Messages[len(c.Messages)-1].Images
	}
	return nil
}

// The model's template. It closes a message of the assistant's, as many do: only a raw prompt goes on
// with one.
const beginUser, beginAnswer = "[user]", "[assistant]"

// takenApart is a raw prompt in that template: what was asked, and how the answer begins.
func (c call) takenApart() (prompt, said string) {
	prompt = c.prompt()
	if asked, begun, ok := strings.Cut(prompt, beginAnswer); ok && c.Raw {
		return strings.TrimPrefix(asked, beginUser), begun
	}
	return prompt, ""
}

// behind returns the words that follow what is said; all of them where that is no beginning of theirs.
func behind(words []string, said string) []string {
	if !strings.HasPrefix(strings.Join(words, ""), said) {
		return words
	}
	for len(words) > 0 && len(said) >= len(words[0]) {
		said, words = said[len(words[0]):], words[1:]
	}
	if said != "" {
		words = append([]string{words[0][len(said):]}, words[1:]...)
	}
	return words
}

// answer is one generation under way.
type answer struct {
	w      http.ResponseWriter
	r      *http.Request
	call   call
	stream bool
	chat   bool
	text   strings.Builder
	said   string // before
	word   func() // one more is made
}

func (e *Engine) generate(w http.ResponseWriter, r *http.Request) {
	a := &answer{w: w, r: r, stream: true, chat: strings.HasSuffix(r.URL.Path, "/chat")}
	if err := json.NewDecoder(r.Body).Decode(&a.call); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		reply(w, map[string]any{"error": err.Error()})
		return
	}
	if a.call.Stream != nil {
		a.stream = *a.call.Stream
	}
	name := a.call.Model
	if !strings.Contains(name, ":") {
		name += ":latest"
	}
	if !slices.Contains(e.cfg.Models, name) && !slices.Contains(e.cfg.Models, a.call.Model) {
		w.WriteHeader(http.StatusNotFound)
		reply(w, map[string]any{"error": "model '" + a.call.Model + "' not found"})
		return
	}
	if a.call.Render {
		a.line("", map[string]any{"_debug_info": map[string]any{"rendered_template": beginUser + a.call.prompt() + beginAnswer}})
		return
	}
	prompt, said := a.call.takenApart()
	a.said = said
	if prompt == "" { // it only loads the model
		a.line("", map[string]any{"done": true, "done_reason": "load"})
		return
	}
	if e.cfg.Alone {
		select {
		case e.turn <- struct{}{}:
			defer func() { <-e.turn }()
		case <-r.Context().Done():
			return
		}
	}
	req := Request{Engine: e.cfg.Name, Model: a.call.Model, Marker: Marker(prompt), Prompt: prompt, Said: said, Pictures: a.call.pictures()}
	id := e.cfg.Ledger.begin(e.cfg.Name, req.Marker, time.Now())
	a.word = func() { e.cfg.Ledger.word(id) }
	outcome := Broken // also when the handler is broken off by a panic
	defer func() { e.cfg.Ledger.end(id, outcome, time.Now()) }()
	outcome = a.play(e.cfg.Script(req), req.Marker)
}

// play follows the script, and tells how it ended.
func (a *answer) play(s Script, marker string) Outcome {
	if s.Words == nil {
		s.Words = []string{"done ", marker}
	}
	// The headers go out first: the engine has the task from here on.
	a.w.Header().Set("Content-Type", "application/x-ndjson")
	if a.stream && s.Ending != Fail {
		a.w.WriteHeader(http.StatusOK)
		a.flush()
	}
	if !a.passes(s.Gate) {
		return Left
	}
	words := behind(s.Words, a.said)
	for i, word := range words {
		d := s.Between
		if i == 0 {
			d = s.Before
		}
		if i == 1 && !a.passes(s.Rest) || !a.pause(d) {
			return Left
		}
		a.word()
		a.text.WriteString(word)
		if a.stream && s.Ending != Fail {
			a.line(word, map[string]any{"done": false})
		}
	}
	for _, c := range s.Calls {
		a.line("", map[string]any{"done": false, "message": map[string]any{
			"role": "assistant", "content": "", "tool_calls": []any{map[string]any{"function": c}},
		}})
	}
	switch s.Ending {
	case Hang:
		<-a.r.Context().Done()
		return Left
	case Reset:
		a.reset()
		return Broken
	case Stop:
		return Broken
	case Lie:
		fmt.Fprintln(a.w, `{"done": "perhaps", "message": 7}`)
		return Broken
	case Fail:
		a.w.WriteHeader(http.StatusInternalServerError)
		reply(a.w, map[string]any{"error": "the script says to fail"})
		return Broken
	}
	if a.r.Context().Err() != nil {
		return Left
	}
	rest := ""
	if !a.stream {
		rest = a.text.String()
	}
	a.line(rest, map[string]any{
		"done": true, "done_reason": "stop", "total_duration": 1, "load_duration": 1,
		"prompt_eval_count": 1 + len(s.Words) - len(words), "prompt_eval_duration": 1, "eval_count": len(words), "eval_duration": 1,
	})
	return Finished
}

// passes waits until a gate is closed, and reports whether the caller is still there.
func (a *answer) passes(gate <-chan struct{}) bool {
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-a.r.Context().Done():
		return false
	}
}

// pause waits for d, and reports whether the caller is still there.
func (a *answer) pause(d time.Duration) bool {
	if d <= 0 {
		return a.r.Context().Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.r.Context().Done():
		return false
	}
}

func (a *answer) line(text string, more map[string]any) {
	more["model"], more["created_at"] = a.call.Model, "2026-01-01T00:00:00Z"
	switch {
	case more["message"] != nil:
	case a.chat:
		more["message"] = map[string]any{"role": "assistant", "content": text}
	default:
		more["response"] = text
	}
	_ = json.NewEncoder(a.w).Encode(more) // the caller may have left
	a.flush()
}

func (a *answer) flush() {
	_ = http.NewResponseController(a.w).Flush() // the caller may have left
}

// reset drops the connection with a TCP reset, as a crashed engine does.
func (a *answer) reset() {
	conn, _, err := http.NewResponseController(a.w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the reset is all that is wanted
	}
	conn.Close()
}

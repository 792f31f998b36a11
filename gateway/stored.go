package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	storedFor  = 24 * time.Hour // that a response is stored
	storedOne  = 16 << 20       // bytes of one, with the conversation before it
	storedMost = 64 << 20       // bytes of all
	storedLong = 1000           // how many
	storedItem = 512            // bytes that an item takes beside its texts
)

var storedRoutes = []route{
	{"GET /v1/responses/{id}", forLocal, openAIDialect.handle((*Gateway).readResponse)},
	{"DELETE /v1/responses/{id}", forLocal, openAIDialect.handle((*Gateway).deleteResponse)},
}

// storedResponses are those that a later request may go on from, or refer to.
type storedResponses struct {
	mu    sync.Mutex
	by    map[storedName]*storedResponse
	order []*storedResponse // oldest first
	bytes int
}

// storedName is whose a response is, as Task.User, and its id.
type storedName struct{ user, id string }

type storedResponse struct {
	name storedName
	made time.Time
	// items are the conversation, with the answer from own on. What is said in them is shared with the responses before.
	items []responsesItem
	own   int
	reply json.RawMessage // as its client has it
	size  int             // in bytes, with what it shares
}

// find returns a response; nil where there is none.
func (s *storedResponses) find(name storedName) *storedResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return s.by[name]
}

// expire drops what is old. The caller holds mu.
func (s *storedResponses) expire() {
	for len(s.order) > 0 && time.Since(s.order[0].made) > storedFor {
		s.drop(s.order[0])
	}
}

// add stores a response, unless it is too large. Older ones give way to it.
func (s *storedResponses) add(r *storedResponse) bool {
	if r.size > storedOne {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for len(s.order) >= storedLong || s.bytes+r.size > storedMost {
		old, _ := oldestOfMost(slices.Values(s.order), func(r *storedResponse) (string, int) { return r.name.user, r.size + storedMost/storedLong })
		s.drop(old)
	}
	if s.by == nil {
		s.by = map[storedName]*storedResponse{}
	}
	r.made = time.Now()
	s.by[r.name], s.order = r, append(s.order, r)
	s.bytes += r.size
	return true
}

// remove stores a response no more, and reports whether it was.
func (s *storedResponses) remove(name storedName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.by[name]
	if r != nil {
		s.drop(r)
	}
	return r != nil
}

// drop is remove of one that there is. The caller holds mu.
func (s *storedResponses) drop(r *storedResponse) {
	delete(s.by, r.name)
	s.order = slices.DeleteFunc(s.order, func(x *storedResponse) bool { return x == r })
	s.bytes -= r.size
}

// item returns an item of a response's answer, whose id names the response.
func (s *storedResponses) item(user, id string) (responsesItem, bool) {
	parts := strings.Split(id, "_")
	if len(parts) != 3 {
		return responsesItem{}, false
	}
	r := s.find(storedName{user, responseID(parts[1])})
	if r == nil {
		return responsesItem{}, false
	}
	at := slices.IndexFunc(r.items[r.own:], func(item responsesItem) bool { return item.ID == id })
	if at < 0 {
		return responsesItem{}, false
	}
	return r.items[r.own+at], true
}

// responseID is the id of a response, as clients have it.
func responseID(id string) string { return "resp_" + id }

// conversation puts what was said until the response of an id before the input, unless id is empty, and into it what it refers to.
func (g *Gateway) conversation(r *http.Request, id string, in responsesInput) (responsesInput, error) {
	s, user := &g.stored, userOf(r)
	if in.items == nil && in.text != "" {
		in = responsesInput{items: []responsesItem{{Type: "message", Role: "user", Content: openAIContent{text: in.text}}}}
	}
	more := 0 // bytes that go on with the task, besides those of the request
	for i, item := range in.items {
		if !item.refers() {
			continue
		}
		var ok bool
		if in.items[i], ok = s.item(user, item.ID); !ok {
			return in, notStored(fmt.Sprintf("input[%d]", i), "item", item.ID)
		}
		more += in.items[i].size()
	}
	if id != "" && len(in.items) > 0 {
		last := s.find(storedName{user, id})
		if last == nil {
			return in, notStored("previous_response_id", "response", id)
		}
		if len(last.items)+len(in.items) > maxMessages {
			return in, misfit("input", "more than %d, with those before it", maxMessages)
		}
		in, more = responsesInput{items: slices.Concat(last.items, in.items), before: len(last.items)}, more+last.size
	}
	if more > maxBody {
		return in, wrong{err: bus.TooLarge("conversation", int64(more))}
	}
	if b, ok := r.Body.(*body); ok {
		if err := b.grows(more); err != nil {
			return in, wrong{err: bus.AsError(err)}
		}
	}
	return in, nil
}

// refers tells whether an item stands for one of an earlier response.
func (item responsesItem) refers() bool {
	return item.Type == "item_reference" || item.Type == "" && item.Role == "" && item.ID != ""
}

func notStored(field, what, id string) error {
	err := bus.Errorf(bus.CodeInvalid, "%s: there is no %s %q here: a node stores the responses that it was asked for itself, for a day, until it is started anew or has no room, and none with store: false",
		field, what, id)
	return wrong{err: err.WithHint("send the whole conversation as input"), field: field}
}

// storeFor has the answer stored behind its conversation, which counts as a part of the request until then. Where there is no room
// for it, it is not stored.
func (q *responsesQuestion) storeFor(g *Gateway, r *http.Request, in responsesInput) {
	said := 0
	for _, item := range in.items {
		said += item.size()
	}
	if b, ok := r.Body.(*body); !ok || b.grows(said) != nil {
		return
	}
	user := userOf(r)
	q.store = func(reply *responsesReply) {
		answer, err := json.Marshal(reply)
		var own struct{ Output []responsesItem }
		if err == nil {
			err = json.Unmarshal(answer, &own)
		}
		made := &storedResponse{name: storedName{user, reply.ID}, items: slices.Concat(in.items, own.Output), own: len(in.items), reply: answer, size: said + len(answer)}
		for _, item := range own.Output {
			made.size += item.size()
		}
		reply.Store = err == nil && g.stored.add(made)
	}
}

// size is how many bytes an item takes, with what nobody reads of it: it is kept all the same.
func (item responsesItem) size() int {
	n := storedItem + len(item.ID) + len(item.Role) + len(item.Name) + len(item.Namespace) + len(item.Arguments) + len(item.CallID) + len(item.EncryptedContent)
	for _, s := range item.Summary {
		n += 16 + len(s.Text) // with where that is
	}
	for _, c := range []openAIContent{item.Content, item.Output} {
		n += len(c.text)
		for _, p := range c.parts {
			n += storedItem + len(p.Type) + len(p.Text) + len(p.Refusal) + len(p.ImageURL.image)
			for _, f := range []openAIFile{p.File, p.openAIFile} {
				n += len(f.Name) + len(f.Data.media) + len(f.Data.image)
			}
		}
	}
	return n
}

// readResponse answers with a response that is stored.
func (g *Gateway) readResponse(w http.ResponseWriter, r *http.Request) error {
	found := g.stored.find(storedName{userOf(r), r.PathValue("id")})
	if found == nil {
		return noResponse(r)
	}
	g.write(w, http.StatusOK, found.reply)
	return nil
}

// deleteResponse stores a response no more.
func (g *Gateway) deleteResponse(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if !g.stored.remove(storedName{userOf(r), id}) {
		return noResponse(r)
	}
	g.write(w, http.StatusOK, map[string]any{"id": id, "object": "response", "deleted": true})
	return nil
}

func noResponse(r *http.Request) error {
	return wrong{err: bus.Errorf(bus.CodeNotFound, "there is no response %q here", r.PathValue("id"))}
}

package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// dialect is an interface that others made.
type dialect struct {
	prefix string // of its paths
	// failure spells an error of a request of this id, if it has one; it may be about a field of that.
	failure func(id string, status int, e *bus.Error, field string) any
	// requestID is the header that names the request in an answer; empty where there is none.
	requestID string
	// lax takes bodies that do not say that they are JSON, as curl sends them, unless they come from a
	// browser.
	lax bool
	// anyCase reads names of fields in any case of letters.
	anyCase bool
}

// nativeDialect is the swarm's own.
var nativeDialect = &dialect{failure: func(_ string, _ int, e *bus.Error, _ string) any {
	return struct {
		Error *bus.Error `json:"error"`
	}{e}
}}

// dialects are those of others; of two that have a prefix of a path, the first has the path.
var dialects = []*dialect{ollamaDialect, anthropicDialect, openAIDialect, mcpDialect}

// dialectOf returns the dialect that a request is in.
func dialectOf(r *http.Request) *dialect {
	if asAnthropic(r) && strings.HasPrefix(r.URL.Path, openAIDialect.prefix) {
		return anthropicDialect
	}
	for _, d := range dialects {
		if strings.HasPrefix(r.URL.Path, d.prefix) {
			return d
		}
	}
	if d := unprefixed[r.URL.Path]; d != nil {
		return d
	}
	return nativeDialect
}

// asAnthropic reports whether a request to a path that OpenAI's interface and Anthropic's have both is of a client of the latter.
func asAnthropic(r *http.Request) bool { return r.Header.Get("Anthropic-Version") != "" }

// ofModels makes a handler of two, for clients of either interface.
func ofModels(openAI, anthropic call) handler {
	return ofEither(openAIDialect.handle(openAI), anthropic)
}

// ofOpenAI makes a handler of what Anthropic's interface has as well, in other words, and a node has not.
func ofOpenAI(do handler) handler {
	return ofEither(do, func(_ *Gateway, _ http.ResponseWriter, r *http.Request) error {
		return bus.Errorf(bus.CodeNotFound, "this node does not serve %s in Anthropic's interface", r.URL.Path)
	})
}

// ofEither makes a handler of one for clients of OpenAI, and another for those of Anthropic.
func ofEither(one handler, anthropic call) handler {
	other := anthropicDialect.handle(anthropic)
	return func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		if asAnthropic(r) {
			other(g, w, r)
			return
		}
		one(g, w, r)
	}
}

// refuse answers with an error.
func (d *dialect) refuse(g *Gateway, w http.ResponseWriter, status int, e *bus.Error) {
	d.refuseField(g, w, status, e, "")
}

// refuseField answers with an error about a field.
func (d *dialect) refuseField(g *Gateway, w http.ResponseWriter, status int, e *bus.Error, field string) {
	if e.Code == bus.CodeBusy && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	d.nameRequest(w)
	g.write(w, status, d.failure(requestID(w), status, e, field))
}

// fails writes why a stream ends.
func (d *dialect) fails(out *stream, status int, e *bus.Error) error {
	return out.send(d.failure(requestID(out.w), status, e, ""))
}

// requestIDs are the headers by which clients find the id of their request in an answer.
var requestIDs = []string{"X-Request-Id", "Request-Id"}

// nameRequest gives a request an id, unless it has one.
func (d *dialect) nameRequest(w http.ResponseWriter) {
	if d.requestID != "" && requestID(w) == "" {
		w.Header().Set(d.requestID, "req_"+string(bus.NewTaskID()))
	}
}

// requestID is the id that a request has been given; empty where it has none.
func requestID(w http.ResponseWriter) string {
	for _, name := range requestIDs {
		if id := w.Header().Get(name); id != "" {
			return id
		}
	}
	return ""
}

// nameAfterTask gives a request that has an id that of the task which is to answer it.
func nameAfterTask(w http.ResponseWriter, task bus.TaskID) {
	for _, name := range requestIDs {
		if w.Header().Get(name) != "" {
			w.Header().Set(name, "req_"+string(task))
		}
	}
}

// sentence is an error with what to do about it.
func sentence(e *bus.Error) string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ". Next: " + e.Hint
}

// handle makes a handler of a function that either answers, or returns an error before it has.
func (d *dialect) handle(do call) handler {
	answer := func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		d.nameRequest(w)
		done, err := g.limitBody(w, r)
		if err == nil {
			defer done()
			if r.Method != http.MethodPost && r.Method != http.MethodDelete {
				err = skipBody(r)
			}
		}
		if err == nil {
			err = do(g, w, r)
		} else {
			err = wrong{err: bus.AsError(err)}
		}
		if err != nil {
			d.explainTo(g, w, r, err)
		}
	}
	return func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get(headerAnswer) == "" {
			answer(g, w, r)
			return
		}
		err := g.keeping(w, r, func(w http.ResponseWriter, r *http.Request) { answer(g, w, r) })
		if err != nil {
			d.explainTo(g, w, r, err)
		}
	}
}

// explainTo answers a request with why it has no other answer.
func (d *dialect) explainTo(g *Gateway, w http.ResponseWriter, r *http.Request, err error) {
	status, e := g.explain(r, err)
	d.refuseField(g, w, status, e, fieldOf(err))
}

// wrong is an error in the request itself, before there is a task; its code tells the status. field is
// the one that it is about, empty where it is about all of it.
type wrong struct {
	err   *bus.Error
	field string
}

func (w wrong) Error() string { return w.err.Error() }
func (w wrong) Unwrap() error { return w.err }

// explain returns the status and the words for an error.
func (g *Gateway) explain(r *http.Request, err error) (int, *bus.Error) {
	if why := ended(r); why != nil {
		err = why
	}
	if errors.Is(err, errLongAnswer) || errors.Is(context.Cause(r.Context()), errLongAnswer) {
		err = wrong{err: errLongAnswer}
	}
	e := bus.AsError(err)
	if e.Code == bus.CodeInternal {
		g.cfg.Logger.Warn("answer HTTP", "path", r.URL.Path, "err", err)
	}
	status := e.Code.HTTPStatus()
	if _, early := errors.AsType[wrong](err); e.Code == bus.CodeTooLarge && !early { // the prompt, for the model
		status = http.StatusBadRequest
	}
	if _, missing := errors.AsType[noModel](err); missing {
		status = http.StatusNotFound
	}
	if _, other := errors.AsType[badMethod](err); other {
		status = http.StatusMethodNotAllowed
	}
	return status, e
}

// noModel is an error about a model that no node has.
type noModel struct{ err *bus.Error }

func (n noModel) Error() string { return n.err.Error() }
func (n noModel) Unwrap() error { return n.err }

// unknownModel tells who has what, where no node has a model for t, or the node that t is pinned to has not; otherwise it returns
// err as it is.
func (g *Gateway) unknownModel(r *http.Request, t bus.Task, model string, err error) error {
	if !errors.Is(err, &bus.Error{Code: bus.CodeNoWorker}) && !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		return err
	}
	at := g.heard(t.Node)
	if _, is := bus.ModelNamed(t.Model, bus.ModelsOf(at, t.Type)); is || t.Node != "" && len(at) == 0 {
		return err
	}
	e := *bus.AsError(err)
	e.Code = bus.CodeNoWorker
	e.Message = "model '" + model + "' not found: " + e.Message
	e.Hint = strings.TrimSuffix(e.Hint, " with -m") // which is how myco is told
	all := g.heard("")
	if _, elsewhere := bus.ModelNamed(t.Model, bus.ModelsOf(all, t.Type)); elsewhere {
		e.Hint = "leave the node open, " + openly(r) + ", for another has it; or " + e.Hint
	} else if i := strings.LastIndexByte(t.Model, '@'); i > 0 {
		if _, is := bus.ModelNamed(t.Model[:i], bus.ModelsOf(all, t.Type)); is {
			e.Hint = "name a node behind the @, one of " + names(all)
		}
	}
	return noModel{&e}
}

// noSuchCall answers what a dialect has no route for in mux.
func noSuchCall(mux *http.ServeMux) call {
	return func(_ *Gateway, w http.ResponseWriter, r *http.Request) error {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return wrong{err: bus.AsError(err)}
		}
		if methods := methodsFor(mux, r); methods != nil {
			bad := newBadMethod(r, methods)
			w.Header().Set("Allow", bad.allow)
			return bad
		}
		err := bus.Errorf(bus.CodeNotFound, "this node does not serve %s %s", r.Method, r.URL.Path)
		if path := meant(mux, r); path != "" {
			return err.WithHint("the program's base URL should be one that leads it to %s", path)
		}
		if call, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/"), "/"); slices.Contains([]string{"create", "copy", "push", "blobs"}, call) {
			return err.WithHint("ask the Ollama itself, on its machine: what it has then, the swarm has too")
		}
		return err
	}
}

// unprefixed are calls whose program was given a base URL without /v1, by the dialect in which they are told so.
var unprefixed = map[string]*dialect{
	"/chat/completions": openAIDialect, "/completions": openAIDialect, "/responses": openAIDialect, "/embeddings": openAIDialect, "/models": openAIDialect,
	"/messages": anthropicDialect,
}

// meant is the path that mux has a route for where that of r has no /v1, or one too many, or a slash at its end; else empty.
func meant(mux *http.ServeMux, r *http.Request) string {
	at := *r.URL
	for _, path := range []string{"/v1" + r.URL.Path, strings.TrimPrefix(r.URL.Path, "/v1"), strings.TrimSuffix(r.URL.Path, "/")} {
		at.Path = path
		if path != r.URL.Path && methodsFor(mux, &http.Request{Host: r.Host, URL: &at}) != nil {
			return path
		}
	}
	return ""
}

// methodsFor are the methods that mux has routes with for the path of r.
func methodsFor(mux *http.ServeMux, r *http.Request) (methods []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if _, pattern := mux.Handler(&http.Request{Method: method, Host: r.Host, URL: r.URL}); strings.HasPrefix(pattern, method+" ") {
			methods = append(methods, method)
		}
	}
	return methods
}

// badMethod is an error about the method of a request.
type badMethod struct {
	err   *bus.Error
	allow string // the header of this name: a HEAD is a GET to package http
}

func newBadMethod(r *http.Request, methods []string) badMethod {
	e := bus.Errorf(bus.CodeInvalid, "%s is called with %s, not with %s", r.URL.Path, strings.Join(methods, " or "), r.Method)
	return badMethod{e, strings.Replace(strings.Join(methods, ", "), http.MethodGet, "GET, HEAD", 1)}
}

func (b badMethod) Error() string { return b.err.Error() }
func (b badMethod) Unwrap() error { return b.err }

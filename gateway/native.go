package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// nativeRoutes are the swarm's own interface.
var nativeRoutes = []route{
	{"GET /health", forAll, (*Gateway).health},
	{"GET /status", forKey, native((*Gateway).status)},
	{"GET /identity", forKey, native((*Gateway).identity)},
	{"GET /peers", forKey, native((*Gateway).peers)},
	{"POST /task", forKey, (*Gateway).post},
	{"GET /tasks", forKey, native((*Gateway).tasks)},
	{"GET /task/{id}", forKey, native((*Gateway).task)},
	{"DELETE /task/{id}", forKey, native((*Gateway).cancel)},
	{"GET /task/{id}/why", forKey, native((*Gateway).why)},
	{"GET /task/{id}/events", forKey, bodiless((*Gateway).events)},
}

// native makes a handler of a function that returns a status and a body.
func native(do func(*Gateway, *http.Request) (int, any, error)) handler {
	return func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		status, body := 0, any(nil)
		done, err := g.limitBody(w, r)
		if err == nil {
			defer done()
			status, body, err = do(g, r)
			if _, rest := io.Copy(io.Discard, r.Body); rest != nil { // what nobody has read is held to the limits too
				err = rest
			}
		}
		if err != nil {
			g.failNative(w, r, err)
			return
		}
		g.write(w, status, body)
	}
}

// callFor are the calls that tell a program what a command tells a person.
var callFor = map[string]string{"myco task ls": "GET /tasks", "myco swarm": "GET /peers"}

// ofCommand leaves out of a hint what flags a command has.
var ofCommand = strings.NewReplacer(", without --node", "", " with -m", "")

// failNative answers with an error.
func (g *Gateway) failNative(w http.ResponseWriter, r *http.Request, err error) {
	if why := ended(r); why != nil {
		err = why
	}
	e := bus.AsError(err)
	if hint := cmp.Or(callFor[e.Hint], ofCommand.Replace(e.Hint)); hint != e.Hint {
		e = e.WithHint("%s", hint)
	}
	if e.Code == bus.CodeInternal {
		g.cfg.Logger.Warn("answer HTTP", "path", r.URL.Path, "err", err)
	}
	status := e.Code.HTTPStatus()
	if m, other := errors.AsType[badMethod](err); other {
		status = http.StatusMethodNotAllowed
		w.Header().Set("Allow", m.allow)
	}
	g.fail(w, status, e)
}

// noRoute answers what mux has no route for.
func noRoute(mux *http.ServeMux) func(*Gateway, *http.Request) (int, any, error) {
	return func(_ *Gateway, r *http.Request) (int, any, error) {
		if methods := methodsFor(mux, r); methods != nil {
			bad := newBadMethod(r, methods)
			bad.err = bad.err.WithHint("%s %s", methods[0], r.URL.Path)
			return 0, nil, bad
		}
		err := bus.Errorf(bus.CodeNotFound, "there is no %s %s", r.Method, r.URL.Path)
		at := *r.URL
		at.Path = strings.TrimRight(at.Path, "/")
		if methods := methodsFor(mux, &http.Request{Host: r.Host, URL: &at}); at.Path != r.URL.Path && methods != nil {
			return 0, nil, err.WithHint("%s %s, without the slash at the end", methods[0], at.Path)
		}
		return 0, nil, err.WithHint("GET /status")
	}
}

// health tells also that the node stops, while it still answers those who asked before: a proxy has others to turn to.
func (g *Gateway) health(w http.ResponseWriter, _ *http.Request) {
	id := g.cfg.Swarm.Identity().NodeID
	if slices.ContainsFunc(g.cfg.Swarm.Nodes(), func(n bus.NodeInfo) bool { return n.ID == id && n.Stops }) {
		g.write(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})
		return
	}
	g.write(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (g *Gateway) status(*http.Request) (int, any, error) {
	return http.StatusOK, g.cfg.Swarm.Status(), nil
}

func (g *Gateway) identity(*http.Request) (int, any, error) {
	return http.StatusOK, g.cfg.Swarm.Identity(), nil
}

func (g *Gateway) peers(*http.Request) (int, any, error) {
	return http.StatusOK, g.cfg.Swarm.Nodes(), nil
}

func (g *Gateway) task(r *http.Request) (int, any, error) {
	id := bus.TaskID(r.PathValue("id"))
	if err := id.Validate(); err != nil {
		return 0, nil, err
	}
	info, err := g.cfg.Swarm.Task(r.Context(), id)
	if err == nil {
		err = g.whole(r, &info, false)
	}
	return http.StatusOK, info, err
}

func (g *Gateway) submit(r *http.Request) (int, any, error) {
	t, err := g.readTask(r)
	if err != nil {
		return 0, nil, err
	}
	if _, err := flag(r, "events"); err != nil {
		return 0, nil, err
	}
	durable, err := flag(r, "durable")
	switch {
	case err != nil:
		return 0, nil, err
	case durable:
		receipt, err := g.cfg.Swarm.Enqueue(r.Context(), t)
		return http.StatusAccepted, receipt, err
	}
	info, err := g.cfg.Swarm.Run(r.Context(), t)
	if err == nil {
		markBegun(r.Context())
		err = g.whole(r, &info, true)
	}
	return http.StatusOK, info, err
}

// whole puts a large result into t, once there is room for it.
func (g *Gateway) whole(r *http.Request, t *bus.TaskInfo, last bool) error {
	if t.ResultBlob == nil {
		return nil
	}
	if in, ok := r.Body.(*body); ok {
		if err := in.answered(t.ResultBlob.Size); err != nil {
			return bus.AsError(err).WithHint("the result is kept, ask again: GET /task/%s", t.ID)
		}
	}
	return g.cfg.Swarm.Whole(r.Context(), t, last)
}

// readTask reads a task from a request's body.
func (g *Gateway) readTask(r *http.Request) (t bus.Task, err error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); (err != nil || media != "application/json") && !protect.ContentType.Off() {
		return t, notJSON(r)
	}
	in, _ := r.Body.(*body)
	data, err := in.all(r.ContentLength)
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if names := t.Unknown(); err == nil && len(names) > 0 { // who writes one by hand has misspelled it
		err = bus.Errorf(bus.CodeInvalid, "read the task: unknown field %q", names[0]).
			WithHint("the fields of a task are type, payload, model, node, remote, lane, priority, timeout_ns and id; what its type wants, as a prompt, goes into the payload")
	}
	var refused *bus.Error
	switch {
	case errors.As(err, &refused):
		return t, refused
	case err != nil:
		return t, noTask(data, err)
	}
	if err := in.whole(); err != nil {
		return t, err
	}
	if err := t.TakeModel(); err != nil {
		return t, err
	}
	named, err := nodeHeader(r)
	if err != nil {
		return t, err
	}
	if model, node := g.aimed(t.Model); node != "" {
		return t, bus.Errorf(bus.CodeInvalid, "model: no node has a model %q, and of a task no node is named behind it", t.Model).
			WithHint(`name the node by itself: "model":%q,"node":%q`, model, node)
	}
	if named != "" || t.Node != "" && t.Node.Validate() != nil { // a task that waits may wait for a node that is not in the list
		if t.Node, err = g.pin(r, string(t.Node)); err != nil {
			return t, err
		}
	}
	return t, t.Validate()
}

// noTask says why data is no task.
func noTask(data []byte, err error) *bus.Error {
	if len(data) == 0 {
		return bus.Errorf(bus.CodeInvalid, "missing request body")
	}
	of, mistaken := errors.AsType[*jsonv1.UnmarshalTypeError](err) // which package bus decodes with
	if !mistaken {
		return bus.Errorf(bus.CodeInvalid, "read the task: %w", err)
	}
	e := &json.UnmarshalTypeError{Value: of.Value, Type: of.Type}
	if field := strings.TrimPrefix(within("", of.Field), "."); field != "" {
		return bus.Errorf(bus.CodeInvalid, "read the task: %s: %s", field, mistyped(e))
	}
	return bus.Errorf(bus.CodeInvalid, "read the task, want a JSON object: %s", thereIs(e))
}

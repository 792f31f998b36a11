package engine

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// blobPath is a file in which an Ollama keeps a part of a model.
var blobPath = regexp.MustCompile(`[/\\]blobs[/\\]sha256[-:][0-9a-f]{64}$`)

// blobLine is a line of a Modelfile that names such a file.
var blobLine = regexp.MustCompile(`(?m)^(FROM|ADAPTER) .*[/\\]blobs[/\\]sha256[-:][0-9a-f]{64}(\r?\n|$)`)

// Show returns what the server tells of a model, without paths of its machine: its Modelfile builds on the
// model by name. CodeNotFound where the server does not have it; others are as in Generate.
func (o *Ollama) Show(ctx context.Context, model string, verbose bool) (json.RawMessage, error) {
	var show map[string]json.RawMessage
	if err := o.c.call(ctx, http.MethodPost, "/api/show", map[string]any{"model": model, "verbose": verbose}, &show); err != nil {
		return nil, modelMissing(err, o.c, model, "myco pull "+model)
	}
	var file string
	if json.Unmarshal(show["modelfile"], &file) == nil {
		from := false
		file = blobLine.ReplaceAllStringFunc(file, func(string) string { // the name has all parts
			if from {
				return ""
			}
			from = true
			return "FROM " + model + "\n"
		})
		set(show, "modelfile", file)
	}
	var details map[string]json.RawMessage
	var parent string
	if json.Unmarshal(show["details"], &details) == nil && json.Unmarshal(details["parent_model"], &parent) == nil && blobPath.MatchString(parent) {
		set(details, "parent_model", "")
		set(show, "details", details)
	}
	out, err := json.Marshal(show)
	if err != nil {
		return nil, o.c.garbled(err)
	}
	return out, nil
}

// set sets a field of an object to what was decoded before, or a text.
func set(object map[string]json.RawMessage, name string, v any) { object[name], _ = json.Marshal(v) } // cannot fail

// Show tells of a model, by the first engine here that has it and can.
func (w *Watcher) Show(ctx context.Context, req bus.ShowRequest) (json.RawMessage, error) {
	s, _ := w.Watch()
	all := s.ollamas()
	at := slices.IndexFunc(all, func(o *Ollama) bool { return s.has(o, req.Model) })
	if at < 0 {
		return nil, bus.Errorf(bus.CodeNotFound, "no Ollama here has the model %q", req.Model).WithHint("myco models")
	}
	return all[at].Show(ctx, req.Model, req.Verbose)
}

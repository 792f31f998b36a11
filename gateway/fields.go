package gateway

import (
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// fields are those of a request's object that nobody has taken yet.
type fields struct {
	left map[string]json.RawMessage
	err  error // the first
}

// readFields reads a request's body.
func (d *dialect) readFields(r *http.Request) (*fields, error) {
	if err := d.wantJSON(r); err != nil {
		return nil, wrong{err: err}
	}
	in, _ := r.Body.(*body)
	data, err := in.all(r.ContentLength)
	if err != nil {
		return nil, wrong{err: bus.AsError(err)}
	}
	if len(data) == 0 {
		return nil, wrong{err: bus.Errorf(bus.CodeInvalid, "missing request body")}
	}
	if top, _ := entries(data); top > maxNames {
		return nil, wrong{err: bus.Errorf(bus.CodeInvalid, "the request has more than %d fields", maxNames)}
	}
	f := &fields{}
	if f.left, err = split(data); err != nil || f.left == nil {
		why := "it is null"
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			why = thereIs(e)
		} else if err != nil {
			why = err.Error()
		}
		return nil, wrong{err: bus.Errorf(bus.CodeInvalid, "read the request, want a JSON object: %s", why)}
	}
	for name, v := range f.left {
		if string(v) == "null" {
			delete(f.left, name)
		}
	}
	if d.anyCase {
		f.lower()
	}
	return f, in.whole()
}

// lower spells the names of fields in small letters, but for one whose name in small letters is there too.
func (f *fields) lower() {
	for _, name := range slices.Sorted(maps.Keys(f.left)) {
		small := strings.ToLower(name)
		if _, is := f.left[small]; !is {
			f.left[small] = f.left[name]
		}
		if small != name {
			delete(f.left, name)
		}
	}
}

// wantJSON refuses a body that does not say that it is JSON.
func (d *dialect) wantJSON(r *http.Request) *bus.Error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && media == "application/json" || protect.ContentType.Off() {
		return nil
	}
	browser := false
	for name := range r.Header {
		browser = browser || name == "Origin" || name == "Referer" || strings.HasPrefix(name, "Sec-")
	}
	if d.lax && !browser {
		return nil
	}
	return notJSON(r)
}

// notJSON tells of a body that does not say that it is JSON, as curl's does not unless told.
func notJSON(r *http.Request) *bus.Error {
	return bus.Errorf(bus.CodeInvalid, "the content type is %q, want application/json", r.Header.Get("Content-Type")).
		WithHint("send the header Content-Type: application/json")
}

// take moves a field into what into points to. A field that is missing leaves it as it is.
func (f *fields) take(name string, into any) {
	v, ok := f.left[name]
	if !ok {
		return
	}
	delete(f.left, name)
	err := few(v)
	if _, raw := into.(*json.RawMessage); raw || err == nil {
		err = json.Unmarshal(v, into)
	}
	if err != nil && f.err == nil {
		f.err = unfit(name, err)
	}
}

// field is one field of a request, and what it is taken into.
type field struct {
	name string
	into any
}

// takeAll takes fields in this order: of several that do not fit, the first is told.
func (f *fields) takeAll(all ...field) {
	for _, x := range all {
		f.take(x.name, x.into)
	}
}

// try is take that leaves a field where it is if it does not fit, or ok refuses it.
func try[T any](f *fields, name string, into *T, ok func(T) bool) {
	var v T
	raw, is := f.left[name]
	if !is || few(raw) != nil || json.Unmarshal(raw, &v) != nil || !ok(v) {
		return
	}
	delete(f.left, name)
	*into = v
}

// drop takes fields that mean nothing here; docs/api.md lists them.
func (f *fields) drop(names ...string) {
	for _, name := range names {
		delete(f.left, name)
	}
}

// refuse makes an error of fields that ask for what is not there.
func (f *fields) refuse(names ...string) {
	for _, name := range names {
		v, ok := f.left[name]
		delete(f.left, name)
		if s := string(v); ok && f.err == nil && s != "false" && s != "0" && s != "[]" && s != "{}" && s != `""` {
			f.err = wrong{err: bus.Errorf(bus.CodeInvalid, "%s is not handed through by this node yet", name), field: name}
		}
	}
}

// numbers takes options of sampling that engines of either kind have by the same names; nil where there are none.
func (f *fields) numbers(names ...string) (out map[string]json.RawMessage) {
	f.number("", f.left, names...)
	for _, name := range names {
		if v, ok := f.left[name]; ok {
			if out == nil {
				out = map[string]json.RawMessage{}
			}
			out[name] = v
			delete(f.left, name)
		}
	}
	return out
}

// number refuses what is none, for engines that would take no notice of it.
func (f *fields) number(of string, values map[string]json.RawMessage, names ...string) {
	for _, name := range names {
		if v, ok := values[name]; ok && !strings.ContainsRune("-0123456789", rune(v[0])) && f.err == nil {
			f.err = misfit(of+name, "want a number")
		}
	}
}

package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// misfit is an error in a field of a request, which it names.
func misfit(field, format string, args ...any) wrong {
	return wrong{err: bus.Errorf(bus.CodeInvalid, "%s: %w", field, fmt.Errorf(format, args...)), field: field}
}

// fieldOf returns the field of a request that err is about, if it is about one.
func fieldOf(err error) string {
	w, _ := errors.AsType[wrong](err)
	return w.field
}

// unfit says what JSON does not fit a field, and in which of those within it.
func unfit(field string, err error) wrong {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		w := misfit(within(field, e.Field), "%s", mistyped(e))
		w.field = field
		return w
	}
	if _, ok := errors.AsType[base64.CorruptInputError](err); ok { // of images
		return misfit(field, "an image is not in base64")
	}
	return misfit(field, "%w", err)
}

// noContent is an error in the content of a message, which is a text or a list.
func noContent(of string, err error) *bus.Error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return unfit("content", err).err
	}
	return bus.Errorf(bus.CodeInvalid, "the content is neither a text nor a list of %s", of)
}

// within names a field within another as JSON does; path has the names of embedded types too.
func within(field, path string) string {
	for name := range strings.SplitSeq(path, ".") {
		if name != "" && strings.ToLower(name) == name {
			field += "." + name
		}
	}
	return field
}

// mistyped says which type is wanted, and which there is.
func mistyped(e *json.UnmarshalTypeError) string {
	return "want " + kindName(e.Type) + ", " + thereIs(e)
}

// thereIs says what there is in place of what is wanted.
func thereIs(e *json.UnmarshalTypeError) string {
	is, value, ok := strings.Cut(e.Value, " ")
	if ok { // a number that is no whole one, or too large
		value = value[:min(40, len(value))]
		return "there is " + value
	}
	names := map[string]string{"string": "a text", "number": "a number", "bool": "a truth value", "array": "a list", "object": "an object"}
	return "there is " + names[is]
}

// kindName is what a type is called in JSON.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindName(t.Elem())
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a text in base64"
		}
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a whole number"
}

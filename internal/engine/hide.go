package engine

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// hide is what an engine says, or an error that may quote it, as it may be told: without what opens the engine, and at a
// length that a person reads. Everything of an engine's that goes into an error goes through it, decoded and whole: a part of
// a key would not be known for one.
func (c *client) hide(s string) string {
	var all []string
	for _, key := range c.secrets() {
		all = append(all, spellings(key)...)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // of one that another begins with the rest would stay
	for _, spelt := range all {
		s = strings.ReplaceAll(s, spelt, "KEY")
	}
	return shorten(s)
}

// dummies are what people write where any key will do. They open nothing, and errors without such a word would be garbled.
var dummies = []string{
	"", "x", "xxx", "key", "api-key", "no-key", "sk-no-key-required", "not-needed", "none", "null", "empty", "any", "dummy", "fake", "test", "token",
	"ollama", "llama", "vllm", "lm-studio", "localai", "local",
}

// placeholder reports whether a key is none, or one of dummies.
func placeholder(key string) bool { return slices.Contains(dummies, strings.ToLower(key)) }

// secrets are what an engine has been sent to be opened: its key, those before it, which requests under way may have, and
// what its address has.
func (c *client) secrets() (out []string) {
	out = slices.DeleteFunc(slices.Clone(c.key.all()), placeholder)
	if c.base == nil || c.base.User == nil {
		return out
	}
	if password, _ := c.base.User.Password(); password != "" {
		out = append(out, base64.StdEncoding.EncodeToString([]byte(c.base.User.Username()+":"+password)), password)
	}
	return out
}

// spellings are the ways in which a key is written where it is quoted in a text that is not decoded any further: such as
// JSON's in a text, and Go's in the errors of net/http.
func spellings(key string) []string {
	quoted := strconv.Quote(key)
	coded, _ := json.Marshal(key) // cannot fail
	return []string{
		key, quoted[1 : len(quoted)-1], string(coded[1 : len(coded)-1]), strings.ReplaceAll(key, "/", `\/`),
		url.QueryEscape(key), url.PathEscape(key), html.EscapeString(key),
	}
}

// hidden is an error whose words may be told.
type hidden struct {
	error
	says string
}

// Error implements error.
func (h hidden) Error() string { return h.says }

// Unwrap is what it was made of, for errors.Is and errors.As.
func (h hidden) Unwrap() error { return h.error }

// said is err with the words that may be told.
func (c *client) said(err error) error { return hidden{err, c.hide(err.Error())} }

// sentKey reports whether req has a key; one that is answered may have another than its engine has now.
func sentKey(req *http.Request) bool {
	return req != nil && strings.HasPrefix(req.Header.Get("Authorization"), "Bearer ")
}

// shorten keeps an engine's words to a length that a person reads.
func shorten(s string) string {
	const most = 300
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

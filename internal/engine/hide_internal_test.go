package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// oddKey has what JSON, HTML, URLs and Go write otherwise.
const oddKey = `sk-&a/b<c>"d\e%f+`

// quoting starts an engine that wants oddKey, and answers each request with what answer makes of what it was sent. Its client's
// key is replaced before the answer.
func quoting(t *testing.T, status int, answer func(auth string) string) *client {
	t.Helper()
	key := &secret{}
	key.had.Store(&[]string{oddKey})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key.had.Store(&[]string{"sk-new", oddKey})
		w.WriteHeader(status)
		fmt.Fprint(w, answer(r.Header.Get("Authorization")))
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(KindOpenAI, u, key)
	c.http.other.DisableKeepAlives = true
	return c
}

// escaped is JSON of s with as much escaped as servers do, and unescaped with no more than must be.
func escaped(s string) string {
	b, _ := json.Marshal(s)
	return strings.ReplaceAll(string(b), "/", `\/`)
}

func unescaped(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return strings.TrimSpace(b.String())
}

// However an engine quotes a key that a request had, no error tells it.
func TestErrorsHideQuotedKeys(t *testing.T) {
	t.Parallel()
	model := func(c *client) error {
		_, err := (&OpenAI{c}).Generate(t.Context(), "m", bus.InferenceRequest{Prompt: "x"}, func(bus.InferenceChunk) error { return nil })
		return err
	}
	lines := func(c *client) error {
		_, err := (&Ollama{c: c}).Generate(t.Context(), "m", bus.InferenceRequest{Prompt: "x"}, func(bus.InferenceChunk) error { return nil })
		return err
	}
	pull := func(c *client) error {
		return (&Ollama{c: c}).Pull(t.Context(), bus.PullRequest{Model: "m"}, func(p bus.PullProgress) error { return fmt.Errorf("progress: %s", p.Status) })
	}
	get := func(c *client) error { return c.get(t.Context(), "/v1/models", &struct{ Data int }{}) }
	for name, tt := range map[string]struct {
		status int
		answer func(auth string) string
		ask    func(*client) error
	}{
		"a text of JSON":        {400, func(a string) string { return `{"error":` + escaped("no: "+a) + `}` }, get},
		"a detail of JSON":      {400, func(a string) string { return `{"error":{"message":` + unescaped("no: "+a) + `}}` }, get},
		"JSON of another shape": {400, func(a string) string { return `{"error":{"detail":` + unescaped("no: "+a) + `}}` }, get},
		"JSON in JSON":          {400, func(a string) string { return `{"error":` + unescaped(`{"said":`+unescaped("no: "+a)+`}`) + `}` }, get},
		"a page":                {400, func(a string) string { return "no: " + a }, get},
		"at the cut":            {400, func(a string) string { return strings.Repeat("n", 290) + a }, get},
		"an address":            {400, func(a string) string { return "no: /?key=" + url.QueryEscape(a) }, get},
		"it refuses":            {401, func(a string) string { return "no: " + a[:len(a)-2] }, get},
		"a failure":             {500, func(a string) string { return `{"error":` + escaped(a) + `}` }, get},
		"an event":              {200, func(a string) string { return `data: {"error":{"message":` + escaped(a) + "}}\n\n" }, model},
		"a field named error":   {200, func(a string) string { return "error: " + a + "\n\ndata: [DONE]\n\n" }, model},
		"a long field":          {200, func(a string) string { return "error: " + strings.Repeat("n", 285) + a + "\n\ndata: [DONE]\n\n" }, model},
		"a line":                {200, func(a string) string { return `{"error":` + escaped(a) + "}\n" }, lines},
		"a pull":                {200, func(a string) string { return `{"error":` + escaped(a) + "}\n" }, pull},
		"a pull without space":  {200, func(a string) string { return `{"error":` + escaped("no space left "+a) + "}\n" }, pull},
		"progress of a pull":    {200, func(a string) string { return `{"status":` + escaped(a) + "}\n" }, pull},
	} {
		err := tt.ask(quoting(t, tt.status, tt.answer))
		if err == nil || strings.Contains(err.Error(), "sk-") || strings.Contains(err.Error(), `b<c`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// net/http quotes a head that it cannot read.
func TestErrorsHideKeysInHeads(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4<<10))
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nBearer %s\r\n\r\n", oddKey)
			conn.Close()
		}
	}()
	key := &secret{}
	key.had.Store(&[]string{oddKey})
	c := newClient(KindOpenAI, &url.URL{Scheme: "http", Host: l.Addr().String()}, key)
	err = c.get(t.Context(), "/v1/models", &struct{}{})
	if err == nil || !strings.Contains(err.Error(), "Bearer KEY") || strings.Contains(err.Error(), "sk-") {
		t.Errorf("got %v", err)
	}
}

// A password of an address is told no more than a key.
func TestErrorsHidePasswords(t *testing.T) {
	t.Parallel()
	c := quoting(t, http.StatusBadRequest, func(auth string) string { return "no: " + auth + ", which is user:pass&word" })
	c.key, c.base.User = nil, url.UserPassword("user", "pass&word")
	if err := c.get(t.Context(), "/v1/models", &struct{}{}); err == nil || !strings.Contains(err.Error(), "no: Basic KEY, which is user:KEY") {
		t.Errorf("got %v", err)
	}
}

// However short a key is, it is hidden, and so is each of several whole; but for words as people write where any key will do.
func TestErrorsHideShortKeys(t *testing.T) {
	t.Parallel()
	for says, tt := range map[string]struct {
		keys []string
		said string
	}{
		"no: KEY":                               {[]string{"honey"}, "no: honey"},
		"KEY, no: KEY":                          {[]string{"bee", "beehive-7"}, "bee, no: beehive-7"},
		"not KEY, nor KEY":                      {[]string{"b<", "x-b<hive"}, `not x-b\u003chive, nor b<`},
		"ollama: no key EMPTY, none":            {[]string{"EMPTY", "none", "ollama", "key", ""}, "ollama: no key EMPTY, none"},
		"it takes any key: sk-no-key-required!": {[]string{"sk-no-key-required"}, "it takes any key: sk-no-key-required!"},
	} {
		key := &secret{}
		key.had.Store(&tt.keys)
		if got := newClient(KindOpenAI, &url.URL{}, key).hide(tt.said); got != says {
			t.Errorf("%q: %q, want %q", tt.keys, got, says)
		}
	}
}

// What an engine says is judged before a key is hidden in it and it is cut; a key that is only a word of people's stays in it.
func TestErrorsAreJudgedAsTheyWereSaid(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key, body, says string
		code            bus.Code
	}{
		"a word":             {"ollama", `{"error":"ollama does not know this option"}`, "ollama does not know this option", bus.CodeInvalid},
		"words of a limit":   {"maximum context length", `{"error":"over the maximum context length of 8"}`, "over the KEY of 8", bus.CodeTooLarge},
		"behind what is cut": {"sk-0123", `{"error":"` + strings.Repeat("n", 300) + ` over the maximum context length"}`, "nnn...", bus.CodeTooLarge},
	} {
		var c *client
		c = quoting(t, http.StatusBadRequest, func(string) string {
			c.key.had.Store(&[]string{tt.key})
			return tt.body
		})
		err := c.get(t.Context(), "/v1/models", &struct{}{})
		if e := bus.AsError(err); e == nil || e.Code != tt.code || !strings.Contains(e.Message, tt.says) {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
}

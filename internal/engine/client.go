package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	// maxLine is the longest line or event of a stream in bytes, as in Ollama's own client.
	maxLine = 8 << 20
	// maxBody is the largest answer to a question about models, in bytes.
	maxBody = 32 << 20
	// maxErrorBody is how much of an error's body is read, in bytes.
	maxErrorBody = 64 << 10
	// dialTimeout bounds the connection alone; an answer may take minutes.
	dialTimeout = 5 * time.Second
)

// client speaks JSON over HTTP to one engine. It follows no redirect: that would take a prompt to a place that
// nobody configured.
type client struct {
	kind string
	base *url.URL
	key  *secret
	http *straight
}

// newClient returns a client of the engine at base, which sends it the key.
func newClient(kind string, base *url.URL, key *secret) *client {
	return &client{kind: kind, base: base, key: key, http: newStraight()}
}

// proxy leaves engines on this machine to themselves, and shows no proxy a key or a password: it reads plain HTTP.
func proxy(req *http.Request) (*url.URL, error) {
	if loopback(req.URL.Hostname()) || req.URL.Scheme == "http" && req.Header.Get("Authorization") != "" {
		return nil, nil
	}
	return http.ProxyFromEnvironment(req)
}

func loopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// direct makes c ask no proxy: its address is one of this machine.
func (c *client) direct() *client {
	c.http.other.Proxy = nil
	return c
}

// asks is the body of a request to an engine.
type asks struct {
	fields map[string]any
	size   int // about how long it is as JSON, in bytes
}

// do sends a request, with body as JSON unless it is nil. A status other than 200
// is an error.
func (c *client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var data []byte
	if body != nil {
		var err error
		if a, long := body.(asks); long {
			data, err = bus.MarshalSized(a.fields, a.size)
		} else {
			data, err = json.Marshal(body)
		}
		if err != nil {
			return nil, bus.Errorf(bus.CodeInternal, "encode the request to the engine: %w", err)
		}
	}
	resp, err := c.send(ctx, method, path, data, "")
	if err == nil && resp.StatusCode == http.StatusForbidden && c.goesByLocalhost(resp.Request) {
		resp.Body.Close()
		resp, err = c.send(ctx, method, path, data, "localhost")
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, c.refused(resp)
	}
	return resp, nil
}

// goesByLocalhost reports whether an engine that forbids req may be asked by the name of localhost: Ollama on loopback refuses
// names that it does not know, such as the far end's name on a tunnel. It wants no key, and between it and this node there is
// nothing that the name would mean something else to.
func (c *client) goesByLocalhost(req *http.Request) bool {
	return c.kind != KindOpenAI && req.URL.Scheme == "http" && req.Header.Get("Authorization") == "" && !c.http.proxied(req)
}

// endWait is how long an engine may take to end a response after the last line of its answer.
const endWait = 50 * time.Millisecond

// leave closes the body of a response. One whose answer is whole is read to its end first, which is what
// keeps the connection.
func leave(body io.ReadCloser, whole bool) {
	if whole {
		stop := time.AfterFunc(endWait, func() { body.Close() })
		_, _ = io.Copy(io.Discard, io.LimitReader(body, maxErrorBody)) // what else there is matters to nobody
		stop.Stop()
	}
	body.Close()
}

// send sends one request; host replaces the Host header unless it is empty.
func (c *client) send(ctx context.Context, method, path string, data []byte, host string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "", nil)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInternal, "make the request to the engine: %w", err)
	}
	if len(data) > 0 {
		req.Body, req.ContentLength = newUpload(data), int64(len(data))
		req.GetBody = func() (io.ReadCloser, error) { return newUpload(data), nil }
	}
	path, query, _ := strings.Cut(path, "?")
	req.URL = c.base.JoinPath(path)
	if query != "" {
		req.URL.RawQuery = query
	}
	req.URL.Path = "/" + strings.TrimPrefix(req.URL.Path, "/") // a base without a path makes it relative
	if data != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key := c.key.get(); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	} else if user := c.base.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	// A kept connection that the engine has just closed is tried again with a new one: requests to engines
	// may be repeated. The name without a value says so to net/http, and is not sent.
	req.Header["Idempotency-Key"] = nil
	req.Host = cmp.Or(host, req.URL.Host)
	resp, err := c.http.RoundTrip(req)
	data = nil // it is sent no more, and net/http keeps GetBody until the answer is whole
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.Header.Get(bus.HeaderGateway) != "" && !protect.Engines.Off() {
		resp.Body.Close()
		return nil, bus.Errorf(bus.CodeUnavailable, "what answers at %s is %w", c.base.Redacted(), errSwarm).
			WithHint("leave it out: mycod finds other nodes by itself, or joins them with a token")
	}
	return resp, nil
}

// upload is the body of a request, as long as it is being sent: net/http keeps the request until the answer is
// whole, which may be minutes later, and one may have hundreds of MiB.
type upload struct{ of atomic.Pointer[bytes.Reader] }

func newUpload(data []byte) *upload {
	u := &upload{}
	u.of.Store(bytes.NewReader(data))
	return u
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	if r := u.of.Load(); r != nil {
		return r.Read(p)
	}
	return 0, io.ErrClosedPipe
}

// Close implements io.Closer.
func (u *upload) Close() error {
	u.of.Store(nil)
	return nil
}

// errSwarm is of an address where a node answers as Ollama does: to ask it would go in circles.
var errSwarm = errors.New("a node of a swarm, not an engine")

// get reads the JSON at path into out.
func (c *client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

func (c *client) call(ctx context.Context, method, path string, body, out any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if len(data) > maxBody {
		return c.garbled(fmt.Errorf("%s is longer than %d bytes", path, maxBody))
	}
	if err := json.Unmarshal(data, out); err != nil {
		return c.garbled(fmt.Errorf("%s: %w", path, err))
	}
	return nil
}

// unreachable tells of a connection that failed or broke. When ctx is done, that
// is why, and its cause is returned.
func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return bus.AsError(fmt.Errorf("ask %s: %w", c, context.Cause(ctx)))
	}
	if hungUp(err) {
		return bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "%s hung up instead of answering: %w", c, c.said(err)))
	}
	return bus.Retry(bus.Errorf(bus.CodeUnavailable, "%s does not answer: %w", c, c.said(err)).
		WithHint("start it, or point --engine at another one"))
}

// hungUp reports whether a connection was made, and broke: whoever was at its other end was up before the request.
func hungUp(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &op) && (op.Op == "read" || op.Op == "write")
}

// broken tells of an answer that ended too early.
func (c *client) broken(what string) error {
	return bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "%s broke off its answer: %s", c, c.hide(what)))
}

// garbled tells of an answer that cannot be read.
func (c *client) garbled(err error) error {
	return bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "%s gave an answer that cannot be read: %w", c, c.said(err)))
}

// tooLarge tells of a prompt that the model has no room for, as the engine said it.
func (c *client) tooLarge(msg string) error {
	// Claude Code looks for "prompt is too long", and sums up the conversation.
	return bus.Errorf(bus.CodeTooLarge, "the prompt is too long for the model: %s", c.hide(msg)).WithHint("%s", longerContext[c.kind])
}

// longerContext says how to give a model a longer context, by the kind of its engine.
var longerContext = map[string]string{
	KindOllama: "give the model a longer context: OLLAMA_CONTEXT_LENGTH where its Ollama is started, or num_ctx",
	KindOpenAI: "start the engine with a longer context: llama-server -c N, vllm serve --max-model-len N",
}

// refused makes an error of an answer with a status other than 200.
func (c *client) refused(resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && len(data) == 0 {
		data = []byte(err.Error())
	}
	said, kind := errorText(data) // it is judged by this: words that may be told can be others, and fewer
	msg := cmp.Or(c.hide(said), http.StatusText(resp.StatusCode))
	switch s := resp.StatusCode; {
	case tooLong(said, kind):
		return c.tooLarge(said)
	case s == http.StatusNotFound, s == http.StatusBadRequest && lacksModel(data):
		return bus.Errorf(bus.CodeNotFound, "%s: %s", c, msg)
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable:
		return bus.Retry(bus.Errorf(bus.CodeBusy, "%s is busy: %s", c, msg))
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return bus.RetryFew(c.refuses(resp, data, said))
	case s == http.StatusInternalServerError && c.kind == KindOllama && faulty(said):
		return bus.Errorf(bus.CodeInvalid, "%s did not accept the request: %s", c, msg)
	case s == http.StatusNotImplemented: // it is another program, or was started otherwise, that could
		return bus.Errorf(bus.CodeInvalid, "%s cannot do this: %s", c, msg)
	case s == http.StatusInternalServerError && !noMemory(said):
		return bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "%s answered with %w: %s", c, errFailed, msg))
	case s >= 500, s < 400: // of a proxy, say, whose engine starts
		return bus.Retry(bus.Errorf(bus.CodeUnavailable, "%s answered with status %d: %s", c, s, msg))
	}
	return bus.Errorf(bus.CodeInvalid, "%s did not accept the request: %s", c, msg)
}

// errFailed is of an engine that is there, and failed at this one request.
var errFailed = errors.New("status 500")

// String names the engine in errors, without a password that its address may hold.
func (c *client) String() string { return c.kind + " at " + c.base.Redacted() }

// errorText takes the message out of an error body: Ollama's {"error": "..."},
// OpenAI's {"error": {"message", "type"}}, or SGLang's, which has no "error" around it.
func errorText(data []byte) (msg, kind string) {
	type detailed struct{ Message, Type string }
	var body struct {
		Error json.RawMessage `json:"error"`
		detailed
	}
	if json.Unmarshal(data, &body) != nil || len(body.Error) == 0 && body.Message == "" {
		text, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
		return text, ""
	}
	if len(body.Error) == 0 {
		return body.Message, body.Type
	}
	if json.Unmarshal(body.Error, &msg) == nil {
		return msg, ""
	}
	var detail detailed
	if json.Unmarshal(body.Error, &detail) != nil || detail.Message == "" {
		return string(body.Error), detail.Type
	}
	return detail.Message, detail.Type
}

// lacksModel reports whether the body of an error is OpenAI's of a model that is not there, which some send with status 400.
func lacksModel(data []byte) bool {
	var body struct{ Error struct{ Code any } }
	return json.Unmarshal(data, &body) == nil && body.Error.Code == "model_not_found"
}

// faulty recognises errors of Ollama about the request itself, which it tells with the status of a failure of
// its own: no other node would take it either.
func faulty(msg string) bool {
	return strings.HasPrefix(msg, "option ") && strings.Contains(msg, "must be of type") ||
		strings.HasPrefix(msg, "invalid format:") || strings.HasPrefix(msg, "invalid JSON schema in format") ||
		strings.HasPrefix(msg, "template: :") || msg == "undefined template specified" // its templates have no name
}

// noMemory recognises errors of engines that have no room for the model at present: what else the machine does
// may be why.
func noMemory(msg string) bool { return strings.Contains(msg, "memory") }

// tooLongWords are in the errors of engines for a prompt over the context length.
var tooLongWords = []string{
	"exceeds the context length",             // Ollama
	"exceeds the available context size",     // llama-server
	"maximum context length",                 // vLLM, SGLang
	"longer than the maximum model length",   // vLLM
	"longer than the model's context length", // SGLang
	"tokens) exceeds the maximum allowed length",
	"context length of only", // LM Studio
	"greater than the context length",
}

// tooLong recognises those errors.
func tooLong(msg, kind string) bool {
	return kind == "exceed_context_size_error" ||
		slices.ContainsFunc(tooLongWords, func(words string) bool { return strings.Contains(msg, words) })
}

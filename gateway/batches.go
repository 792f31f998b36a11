package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/batch"
)

// batchRoutes have files of requests answered: https://platform.openai.com/docs/api-reference/batch
var batchRoutes = []route{
	{"POST /v1/batches", forLocal, openAIDialect.handle((*Gateway).beginBatch)},
	{"GET /v1/batches", forLocal, openAIDialect.handle((*Gateway).listBatches)},
	{"GET /v1/batches/{id}", forLocal, openAIDialect.handle((*Gateway).readBatch)},
	{cancelRoute, forLocal, openAIDialect.handle((*Gateway).cancelBatch)},
}

// cancelRoute is no request to the limits of a key, which its batch may have reached.
const cancelRoute = "POST /v1/batches/{id}/cancel"

// batched are the endpoints whose requests may be in a batch, and what answers them.
var batched = map[string]handler{
	"/v1/chat/completions": openAIDialect.handle((*Gateway).openAIChat),
	"/v1/completions":      openAIDialect.handle((*Gateway).openAICompletion),
	"/v1/embeddings":       openAIDialect.handle((*Gateway).openAIEmbeddings),
	"/v1/responses":        openAIDialect.handle((*Gateway).openAIResponse),
}

// The metadata that a client may set.
const (
	metadataMost  = 16
	metadataName  = 64
	metadataValue = 512
)

// batchObject is a batch, as clients have it.
type batchObject struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"`
	Endpoint         string            `json:"endpoint"`
	Errors           *batchErrors      `json:"errors"`
	InputFileID      string            `json:"input_file_id"`
	CompletionWindow string            `json:"completion_window"`
	Status           batch.Status      `json:"status"`
	OutputFileID     *string           `json:"output_file_id"`
	ErrorFileID      *string           `json:"error_file_id"`
	CreatedAt        int64             `json:"created_at"`
	InProgressAt     *int64            `json:"in_progress_at"`
	ExpiresAt        int64             `json:"expires_at"`
	FinalizingAt     *int64            `json:"finalizing_at"`
	CompletedAt      *int64            `json:"completed_at"`
	FailedAt         *int64            `json:"failed_at"`
	ExpiredAt        *int64            `json:"expired_at"`
	CancellingAt     *int64            `json:"cancelling_at"`
	CancelledAt      *int64            `json:"cancelled_at"`
	RequestCounts    batchCounts       `json:"request_counts"`
	Metadata         map[string]string `json:"metadata"`
}

func (b batchObject) id() string { return b.ID }

type batchErrors struct {
	Object string       `json:"object"`
	Data   []batchFault `json:"data"`
}

type batchFault struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
	Line    *int    `json:"line"`
}

type batchCounts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

// completionWindow is batch.Window, in the only words that clients may say.
const completionWindow = "24h"

func batchOf(b batch.Batch) batchObject {
	at := func(s batch.Status) *int64 {
		t, ok := b.At[s]
		if !ok {
			return nil
		}
		unix := t.Unix()
		return &unix
	}
	some := func(id string) *string {
		if id == "" {
			return nil
		}
		return &id
	}
	out := batchObject{
		ID: b.ID, Object: "batch", Endpoint: b.Endpoint, InputFileID: b.Input, CompletionWindow: completionWindow, Status: b.Status,
		OutputFileID: some(b.Output), ErrorFileID: some(b.Errors), CreatedAt: b.At[batch.Validating].Unix(), InProgressAt: at(batch.InProgress),
		ExpiresAt: b.Expires.Unix(), FinalizingAt: at(batch.Finalizing), CompletedAt: at(batch.Completed), FailedAt: at(batch.Failed),
		ExpiredAt: at(batch.Expired), CancellingAt: at(batch.Cancelling), CancelledAt: at(batch.Cancelled),
		RequestCounts: batchCounts{b.Total, b.Done, b.Erred}, Metadata: b.Metadata,
	}
	if len(b.Faults) > 0 {
		out.Errors = &batchErrors{Object: "list"}
		for _, f := range b.Faults {
			fault := batchFault{Code: f.Code, Message: f.Message}
			if f.Line > 0 {
				fault.Line = &f.Line
			}
			out.Errors.Data = append(out.Errors.Data, fault)
		}
	}
	return out
}

func (g *Gateway) beginBatch(w http.ResponseWriter, r *http.Request) error {
	if g.batches == nil {
		return noBatches()
	}
	if r.Header.Get(headerNode) != "" {
		return wrong{err: bus.Errorf(bus.CodeInvalid, "%s: the requests of a batch go to whichever nodes have the model", headerNode).
			WithHint("leave the header out, and where a node matters name it in a request: \"model\":\"MODEL@NODE\"")}
	}
	f, err := openAIDialect.readFields(r)
	if err != nil {
		return err
	}
	b, window := batch.Batch{User: userOf(r)}, ""
	var keep *struct {
		Anchor  string
		Seconds int
	}
	f.takeAll(field{"input_file_id", &b.Input}, field{"endpoint", &b.Endpoint}, field{"completion_window", &window},
		field{"metadata", &b.Metadata}, field{"output_expires_after", &keep})
	switch {
	case f.err != nil:
		return f.err
	case b.Input == "":
		return wrong{err: bus.Errorf(bus.CodeInvalid, "input_file_id is required"), field: "input_file_id"}
	case batched[b.Endpoint] == nil:
		return misfit("endpoint", "want one of %s", strings.Join(endpoints(), ", "))
	case window != completionWindow:
		return misfit("completion_window", "want %s", completionWindow)
	case len(b.Metadata) > metadataMost:
		return misfit("metadata", "more than %d", metadataMost)
	}
	for name, value := range b.Metadata {
		if len(name) > metadataName || len(value) > metadataValue {
			return misfit("metadata", "want names of up to %d bytes, and values of %d", metadataName, metadataValue)
		}
	}
	if keep != nil {
		term, why := termOf(keep.Anchor, keep.Seconds)
		if why != nil {
			return misfit("output_expires_after", "%s", strings.TrimPrefix(why.Message, "expires_after: "))
		}
		b.Keep = term
	}
	if b, err = g.batches.Begin(b); errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		return wrong{err: bus.AsError(err), field: "input_file_id"}
	} else if err != nil {
		return wrong{err: bus.AsError(err)}
	}
	g.write(w, http.StatusOK, batchOf(b))
	return nil
}

func endpoints() (out []string) {
	for path := range batched {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

func (g *Gateway) listBatches(w http.ResponseWriter, r *http.Request) error {
	if err := g.tellsList(r); err != nil {
		return err
	}
	return list(g, w, r, g.batches.Batches(userOf(r)), batchOf, 20, 100)
}

func (g *Gateway) readBatch(w http.ResponseWriter, r *http.Request) error {
	return g.tellBatch(w, r, (*batch.Store).Batch)
}

// cancelBatch wants no body: a page of a web site that knew the id could call it, but is refused as one.
func (g *Gateway) cancelBatch(w http.ResponseWriter, r *http.Request) error {
	return g.tellBatch(w, r, (*batch.Store).Cancel)
}

func (g *Gateway) tellBatch(w http.ResponseWriter, r *http.Request, of func(s *batch.Store, user, id string) (batch.Batch, error)) error {
	if g.batches == nil {
		return noBatches()
	}
	b, err := of(g.batches, userOf(r), r.PathValue("id"))
	if err != nil {
		return wrong{err: bus.AsError(err)}
	}
	g.write(w, http.StatusOK, batchOf(b))
	return nil
}

// knows reports whether some node has a model for the requests of an endpoint.
func (g *Gateway) knows(endpoint, model string) bool {
	typ := bus.TypeInference
	if endpoint == "/v1/embeddings" {
		typ = bus.TypeEmbed
	}
	nodes := slices.Clone(g.cfg.Swarm.Nodes())
	model, at := g.aimed(model)
	nodes = slices.DeleteFunc(nodes, func(n bus.NodeInfo) bool { return at != "" && n.Name != at && string(n.ID) != at })
	_, is := bus.ModelNamed(model, bus.ModelsOf(nodes, typ))
	return is
}

// batchKey is in the context of requests of a batch.
type batchKey struct{}

// ofBatch reports whether nobody waits for a request: it is one of a batch.
func ofBatch(r *http.Request) bool { return r.Context().Value(batchKey{}) != nil }

// enterForBatch waits until the user of a batch may ask one request more, within the limits of the user's key.
func (g *Gateway) enterForBatch(ctx context.Context, user string) (within context.Context, leave func(), err error) {
	ctx = context.WithValue(ctx, batchKey{}, true)
	if user == "" {
		return ctx, func() {}, nil
	}
	h := g.holderNamed(user)
	if h == nil {
		return nil, nil, errRevoked
	}
	held, cancel := context.WithCancelCause(context.WithValue(ctx, holderKey{}, h))
	stop := context.AfterFunc(h.ctx, func() { cancel(context.Cause(h.ctx)) })
	done, err := h.wait(held)
	if err != nil {
		stop()
		cancel(nil)
		return nil, nil, err
	}
	return held, func() { done(); stop(); cancel(nil) }, nil
}

// askForBatch answers a request of a batch as if the user who has entered had made it. A panic ends that request alone, as it would
// in a server: the daemon would ask it again after each start.
func (g *Gateway) askForBatch(ctx context.Context, endpoint string, data []byte) (a batch.Answer) {
	defer func() {
		if v := recover(); v != nil {
			g.cfg.Logger.Error("a request of a batch panicked", "endpoint", endpoint, "panic", v, "stack", string(debug.Stack()))
			a = batch.Answer{Status: http.StatusInternalServerError, Body: []byte(`{"error":{"message":"the node failed","type":"api_error"}}`)}
		}
	}()
	r := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: endpoint}, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(data)), ContentLength: int64(len(data)),
	}).WithContext(ctx)
	w := &written{header: http.Header{}}
	batched[endpoint](g, w, r)
	a = batch.Answer{Status: w.status, ID: requestID(w), Body: bytes.TrimSpace(w.body.Bytes())}
	if !json.Valid(a.Body) {
		a.Body = []byte("null")
	}
	switch a.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusNotFound, http.StatusInsufficientStorage:
		a.Later = true // of a model that was there: its node is away
	}
	return a
}

// holderNamed returns whose key is that of a Task.User; nil where there is none any more.
func (g *Gateway) holderNamed(user string) *holder {
	for _, h := range g.holders() {
		if h.User() == user {
			return h
		}
	}
	return nil
}

// written is a response that is read here.
type written struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *written) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *written) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *written) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// openBatches reads the files and batches of a folder; there are none where it is empty, or cannot be read or made: the disk may
// be full, and the node is of use without.
func (g *Gateway) openBatches(dir string, room func() error) {
	if dir == "" {
		return
	}
	s, err := batch.Open(batch.Config{
		Dir: dir, Room: room, Enter: g.enterForBatch, Ask: g.askForBatch, Knows: g.knows, Logger: g.cfg.Logger,
		Holds: func(user string) bool { return user == "" || g.holderNamed(user) != nil },
	})
	if err != nil {
		g.cfg.Logger.Warn("this node keeps no files and batches", "err", err)
		return
	}
	g.batches = s
}

// RunBatches has the requests of batches answered until ctx ends.
func (g *Gateway) RunBatches(ctx context.Context) error {
	if g.batches == nil {
		return nil
	}
	return g.batches.Run(ctx)
}

package web

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/gabriel-vasile/mimetype"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/neterr"
)

const (
	// slots is how many pages a node gets at once.
	slots = 4
	// fetchTime is for one of them, with all redirects, to its last byte.
	fetchTime = 30 * time.Second
	// dialTime is for one connection, TLS apart, which has as much again.
	dialTime = 10 * time.Second
	// hops is how many redirects are followed.
	hops = 10
	// maxHeader is how long the header of an answer may be, in bytes.
	maxHeader = 256 << 10
	// sniffed is by how much of a body it is seen what it is, in bytes. In so much of a DOCX its parts have names.
	sniffed = 4 << 10
	// maxContentType is how much of a Content-Type is read, in bytes.
	maxContentType = 256
	// accepted is what servers are asked for.
	accepted = "text/html, application/xhtml+xml, text/markdown, text/plain;q=0.9, application/json;q=0.9, text/*;q=0.8, */*;q=0.1"
)

// Config is what a Handler is told. The zero value of a field means its default.
type Config struct {
	// Agent is the User-Agent that servers are told. Default: mycoswarm.
	Agent string
	// Node is the name of this node, for those whose page it may not fetch. Default: this node.
	Node string
	// Policy is the owner's.
	Policy Policy
	// Resolver looks names up. Default: the system's.
	Resolver *net.Resolver
	// Own returns the networks that this machine is on, none of which is fetched from unless Policy says so.
	// Default: those of its interfaces.
	Own func() []netip.Prefix
	// Limit is for getting one page. Default: 30 s.
	Limit time.Duration
	// Reader is a program, with its arguments, that is Main: pages of HTML become text there. Empty: they do
	// in this process, which a page can hold up then.
	Reader []string
	// ReadTime and ReadMemory, in bytes, are what Reader may take for a page. Default: 15 s and 512 MiB.
	ReadTime   time.Duration
	ReadMemory int64
	// Document makes text of a page that is a PDF or a DOCX. Default: such a page is left to another node.
	Document func(context.Context, bus.FileRequest) (bus.FileResult, error)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Handler gets pages. The payload of a task is a bus.FetchRequest, its result a bus.FetchResult; there is
// no output.
type Handler struct {
	cfg Config
	// reading holds one while a page becomes text: that takes a CPU, and memory of many times its size.
	reading chan struct{}
}

var _ bus.Handler = (*Handler)(nil)

// New returns a Handler.
func New(cfg Config) *Handler {
	cfg.Agent = cmp.Or(cfg.Agent, "mycoswarm")
	cfg.Limit = cmp.Or(cfg.Limit, fetchTime)
	cfg.ReadTime, cfg.ReadMemory = cmp.Or(cfg.ReadTime, childTime), cmp.Or(cfg.ReadMemory, childMemory)
	if cfg.Own == nil {
		cfg.Own = ownNetworks
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Handler{cfg: cfg, reading: make(chan struct{}, 1)}
}

// Capability implements bus.Handler.
func (h *Handler) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: bus.TypeFetch, Slots: slots}, nil
}

// Handle implements bus.Handler. Errors have CodeInvalid for a request that is none; CodeForbidden for an
// address that this node does not connect to, or a page that the server does not give; CodeNotFound for one
// that is not there; CodeFailed for what else the server says, and for what is no text; CodeTooLarge for a
// document of more than bus.MaxPage; and those of Config.Document. CodeUnavailable and CodeTimeout, where the
// server is not reached, or documents are not read, are marked by bus.RetryFew: another machine may do better.
// Those two name neither the page nor its host, for they are told to observers.
func (h *Handler) Handle(ctx context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	req, err := bus.Request[bus.FetchRequest](t)
	if err != nil {
		return nil, err
	}
	req.Format = cmp.Or(req.Format, bus.FormatMarkdown)
	req.MaxBytes = cmp.Or(req.MaxBytes, bus.DefaultPage)
	bus.SetPhase(ctx, "fetch", h.cfg.Limit+fetchTime)
	p, err := h.get(ctx, req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	if isDocument(p.media) {
		res, err := h.readDocument(ctx, p, req)
		if err != nil {
			return nil, err
		}
		return res, nil
	}
	bus.SetPhase(ctx, "read", (slots+1)*h.cfg.ReadTime) // behind those of the other slots
	select {
	case h.reading <- struct{}{}:
		defer func() { <-h.reading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	res, err := h.read(ctx, p, req)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	return res, nil
}

// page is what a server sent.
type page struct {
	url         *url.URL
	status      int
	contentType string
	media       string // of contentType, or as the body looks
	body        []byte
	cut         bool // there is more
	at          time.Time
}

// errSlow ends a fetch.
var errSlow = errors.New("the time for a page is over")

// get gets a page. It makes a client for this page alone: nothing is kept of it, neither cookies nor
// connections.
func (h *Handler) get(ctx context.Context, req bus.FetchRequest) (*page, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.cfg.Limit, errSlow)
	defer cancel()
	dialer := &net.Dialer{Timeout: dialTime, Resolver: h.cfg.Resolver, Control: h.cfg.Policy.control(h.cfg.Own())}
	transport := &http.Transport{
		Proxy:       nil, // the environment's would connect for us, to what this node must not
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTime,
		DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: h.redirect}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, req.URL, nil)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "make the request: %w", err)
	}
	r.Header.Set("User-Agent", h.cfg.Agent)
	r.Header.Set("Accept", accepted)
	resp, err := client.Do(r)
	if err != nil {
		return nil, h.failure(ctx, err)
	}
	defer resp.Body.Close()
	p := &page{url: resp.Request.URL, status: resp.StatusCode, at: h.cfg.Now()}
	if p.contentType = resp.Header.Get("Content-Type"); len(p.contentType) > maxContentType {
		p.contentType = p.contentType[:maxContentType]
	}
	if err := p.check(resp); err != nil {
		return nil, err
	}
	body := bufio.NewReaderSize(resp.Body, sniffed)
	if p.media == "" {
		if err := p.sniff(body); err != nil {
			return nil, h.failure(ctx, err)
		}
	}
	limit := req.MaxBytes
	if isDocument(p.media) {
		if err := h.takes(p.media, req.Format); err != nil {
			return nil, err
		}
		limit = bus.MaxPage // a part of one is of no use
	}
	// The limit is for what comes out of the decompression, which the transport does.
	p.body, err = io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if err != nil {
		return nil, h.failure(ctx, err)
	}
	if p.cut = len(p.body) > limit; p.cut {
		p.body = p.body[:limit]
	}
	return p, nil
}

// sniff sees from the beginning of a body what it is.
func (p *page) sniff(body *bufio.Reader) error {
	head, err := body.Peek(sniffed)
	if err != nil && err != io.EOF {
		return err
	}
	if p.media = mediaOf(http.DetectContentType(head)); p.media == "application/zip" {
		p.media = mediaOf(mimetype.Detect(head).String())
	}
	return p.readable()
}

// redirect checks a hop before it is gone. Where it leads is checked when it is connected to.
func (h *Handler) redirect(r *http.Request, via []*http.Request) error {
	if len(via) > hops {
		return bus.Errorf(bus.CodeFailed, "the page is redirected more than %d times", hops)
	}
	if err := bus.ValidPage(r.URL); err != nil {
		return bus.Errorf(bus.CodeFailed, "the page is redirected to what is no page: %w", err)
	}
	r.Header.Del("Referer")
	return nil
}

// check reports why an answer is not the page.
func (p *page) check(resp *http.Response) error {
	says := http.StatusText(p.status)
	switch {
	case p.status >= 200 && p.status < 300:
	case p.status == http.StatusNotFound, p.status == http.StatusGone:
		return bus.Errorf(bus.CodeNotFound, "there is no such page: the server says %d %s", p.status, says)
	case p.status == http.StatusUnauthorized, p.status == http.StatusForbidden:
		return bus.Errorf(bus.CodeForbidden, "the server does not give this page to everybody: it says %d %s", p.status, says)
	default:
		return bus.Errorf(bus.CodeFailed, "the server has no page, but %d %s", p.status, says)
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" { // gzip has been undone, and is gone
		return bus.Errorf(bus.CodeFailed, "the server sends the page compressed by %q, which nobody asked for", text(e, maxReason))
	}
	if p.media = mediaOf(p.contentType); slices.Contains(untold, p.media) {
		p.media = "" // it is seen from the body
		return nil
	}
	return p.readable()
}

// failure tells what an error on the way to a page means. Those of which another node may know better say
// nothing of the page.
func (h *Handler) failure(ctx context.Context, err error) error {
	var (
		refused *refusal
		own     *bus.Error
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		op      *net.OpError
		wrapped *url.Error
	)
	away := func(c bus.Code, format string, args ...any) error {
		return bus.RetryFew(bus.Errorf(c, format, args...))
	}
	switch {
	case errors.As(err, &refused):
		return refused.told(h.cfg.Node, h.cfg.Policy)
	case errors.As(err, &own):
		return own
	case errors.Is(context.Cause(ctx), errSlow):
		return away(bus.CodeTimeout, "the server has not sent the page within %v", h.cfg.Limit)
	case errors.As(err, &dns) && dns.IsNotFound:
		return away(bus.CodeUnavailable, "the host of the page was not found")
	case errors.As(err, &dns):
		return away(bus.CodeUnavailable, "the host of the page could not be looked up")
	case errors.As(err, &cert):
		return bus.Errorf(bus.CodeFailed, "the server is not known to be the one that it says: %w", cert.Err)
	case neterr.Refused(err):
		return away(bus.CodeUnavailable, "the server of the page refuses connections")
	case errors.As(err, &op) && op.Op == "dial" && op.Timeout():
		return away(bus.CodeTimeout, "the server of the page does not answer")
	case errors.As(err, &op) && op.Op == "dial":
		return away(bus.CodeUnavailable, "the server of the page cannot be reached")
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return away(bus.CodeUnavailable, "the server of the page breaks off")
	case errors.As(err, &wrapped):
		err = wrapped.Err
	}
	return bus.Errorf(bus.CodeFailed, "the server does not send a page: %s", text(err.Error(), maxReason)) // which may repeat all of a header
}

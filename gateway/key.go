package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Key is a key beside the owner's. It opens the routes of dialects.
type Key struct {
	bus.KeyInfo
	// Hash is the SHA-256 of what a request presents.
	Hash [sha256.Size]byte
}

// holder is who presents a key, and for how long it is good.
type holder struct {
	Key
	owner  bool
	ctx    context.Context // ends, with its cause, when the key does
	end    context.CancelCauseFunc
	rate   *rate.Limiter       // nil: any number of requests
	room   *semaphore.Weighted // nil: any number at one time
	taking sync.Mutex          // held while spare looks at room
}

// Why a request with a key ends before its answer.
var (
	errReplaced = bus.Errorf(bus.CodeForbidden, "the key of this request was replaced").
			WithHint("read %s in the data directory again", bus.HTTPKeyFile)
	errRevoked = bus.Errorf(bus.CodeForbidden, "the key of this request was revoked").
			WithHint("ask the owner of the node for another: myco key create")
)

// keyEnded returns why the key of a request is good no more; nil as long as it is.
func keyEnded(r *http.Request) error {
	if cause := context.Cause(r.Context()); errors.Is(cause, errReplaced) || errors.Is(cause, errRevoked) {
		return cause
	}
	return nil
}

// errStops is why a request ends that a node has no more time to answer.
var errStops = bus.Errorf(bus.CodeUnavailable, "this node stops").WithHint("ask again in a moment, or at another node")

// ended returns why a request gets no answer, through no fault of its own; nil as long as it may.
func ended(r *http.Request) error {
	if errors.Is(context.Cause(r.Context()), errStops) {
		return errStops
	}
	return keyEnded(r)
}

func newHolder(k Key) *holder {
	h := &holder{Key: k}
	h.ctx, h.end = context.WithCancelCause(context.Background())
	if k.PerMinute > 0 {
		h.rate = rate.NewLimiter(rate.Limit(k.PerMinute)/60, k.PerMinute)
	}
	if k.Concurrent > 0 {
		h.room = semaphore.NewWeighted(int64(k.Concurrent))
	}
	return h
}

// SetKey says what the owner presents from now on. Requests under way with the key before are
// cancelled. An empty key changes nothing.
func (g *Gateway) SetKey(key string) {
	if key == "" {
		return
	}
	next := newHolder(Key{Hash: sha256.Sum256([]byte(key))})
	next.owner = true
	if old := g.owner.Swap(next); old != nil {
		old.end(errReplaced)
	}
}

// SetKeys says which keys there are beside the owner's from now on. Requests under way with one that
// is not among them are cancelled. One that is told again keeps what it has used of its limits.
func (g *Gateway) SetKeys(keys []Key) {
	g.setting.Lock()
	defer g.setting.Unlock()
	old, next := g.holders(), map[[sha256.Size]byte]*holder{}
	for _, k := range keys {
		if next[k.Hash] = old[k.Hash]; next[k.Hash] == nil {
			next[k.Hash] = newHolder(k)
		}
	}
	for hash, h := range old {
		switch {
		case next[hash] == h:
		case protect.KeyRevoked.Off():
			next[hash] = h
		default:
			defer h.end(errRevoked) // once nobody is let in any more
		}
	}
	g.keys.Store(&next)
}

func (g *Gateway) holders() map[[sha256.Size]byte]*holder {
	if m := g.keys.Load(); m != nil {
		return *m
	}
	return nil
}

// presented returns what a request presents as key: as a bearer, or as clients of Anthropic do.
func presented(r *http.Request) (keys []string) {
	if scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		keys = append(keys, strings.TrimSpace(key))
	}
	if key := r.Header.Get("X-Api-Key"); key != "" {
		keys = append(keys, strings.TrimSpace(key))
	}
	return keys
}

// holder returns whose key a request presents; nil where it is nobody's. ended tells that it looks
// like one that was created here.
func (g *Gateway) holder(r *http.Request) (h *holder, ended bool) {
	for _, key := range presented(r) {
		h, was := g.keyHolder(key)
		if h != nil {
			return h, false
		}
		ended = ended || was
	}
	return nil, ended
}

// keyHolder returns whose key it is; nil where it is nobody's. ended tells that it looks like one that was
// created here.
func (g *Gateway) keyHolder(key string) (h *holder, ended bool) {
	hash := sha256.Sum256([]byte(key))
	if owner := g.owner.Load(); subtle.ConstantTimeCompare(hash[:], owner.Hash[:]) == 1 {
		return owner, false
	}
	if h := g.holders()[hash]; h != nil {
		return h, false
	}
	return nil, strings.HasPrefix(key, bus.KeyPrefix)
}

// may reports whether h may call a route.
func (h *holder) may(a access) bool {
	switch {
	case h.owner:
		return true
	case a == forKey:
		return false
	case a == forManager, a == forViewer:
		return h.Admin
	}
	return true
}

// enter counts a request against the limits of its key, unless it reads alone, or cancels. done is called when it has ended; the
// error tells which limit is reached, and wait how long it may be.
func (h *holder) enter(r *http.Request, now time.Time, cancels bool) (done func(), wait time.Duration, err *bus.Error) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Pattern == stopRoute || r.Pattern == cancelRoute || cancels || protect.KeyLimits.Off() {
		return func() {}, 0, nil
	}
	if done, err = h.begin(1); err != nil {
		return nil, time.Second, err
	}
	if h.rate == nil {
		return done, 0, nil
	}
	took := h.rate.ReserveN(now, 1)
	if wait = took.DelayFrom(now); wait > 0 {
		took.CancelAt(now)
		done()
		return nil, wait, bus.Errorf(bus.CodeBusy, "this key may make %s a minute, and has", requests(h.PerMinute)).
			WithHint("go on in %v", (wait + time.Second - 1).Truncate(time.Second))
	}
	return done, 0, nil
}

// begin counts n requests among those that the key has under way, until done is called.
func (h *holder) begin(n int) (done func(), err *bus.Error) {
	h.taking.Lock()
	defer h.taking.Unlock()
	switch {
	case h.room == nil || protect.KeyLimits.Off():
		return func() {}, nil
	case !h.room.TryAcquire(int64(n)):
		return nil, bus.Errorf(bus.CodeBusy, "this key may have %s under way, and has", requests(h.Concurrent)).
			WithHint("wait for one of them to end")
	}
	return func() { h.room.Release(int64(n)) }, nil
}

// spareEvery is how often a batch looks for room within the limits of its key.
const spareEvery = 100 * time.Millisecond

// wait waits until the key has one request to spare. An error is why ctx has ended.
func (h *holder) wait(ctx context.Context) (done func(), err error) {
	for {
		if done, ok := h.spare(time.Now()); ok {
			return done, nil
		}
		select {
		case <-time.After(spareEvery):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// spare is enter for a request of a batch: where the key may make more than one, another stays for who waits for an answer.
func (h *holder) spare(now time.Time) (done func(), ok bool) {
	h.taking.Lock()
	defer h.taking.Unlock()
	done = func() {}
	if h.room != nil {
		n := int64(min(2, h.Concurrent))
		if !h.room.TryAcquire(n) {
			return nil, false
		}
		h.room.Release(n - 1)
		done = func() { h.room.Release(1) }
	}
	if h.rate != nil && (h.rate.TokensAt(now) < float64(min(2, h.PerMinute)) || !h.rate.AllowN(now, 1)) {
		done()
		return nil, false
	}
	return done, true
}

func requests(n int) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

// holderKey finds in a request's context whose it is.
type holderKey struct{}

// holderOf returns whose key a request came with; nil where it came without.
func holderOf(r *http.Request) *holder {
	h, _ := r.Context().Value(holderKey{}).(*holder)
	return h
}

// userOf returns the Task.User of a request: "" for the owner of the node, and without a key.
func userOf(r *http.Request) string {
	if h := holderOf(r); h != nil && !h.owner {
		return h.User()
	}
	return ""
}

// allowed refuses requests of those who may not call a route, or not at present.
func (g *Gateway) allowed(a access, next http.Handler) http.Handler {
	if a == forAll {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ended := g.holder(r)
		if h == nil && a == forViewer {
			h = g.viewer(r, time.Now())
		}
		switch {
		case h != nil:
			g.admit(h, a, next, w, r)
		case protect.HTTPKey.Off(), a != forKey && !ended && !g.cfg.KeyAlways && ofThisMachine(r):
			next.ServeHTTP(w, r)
		case a == forViewer && wantsPage(r):
			g.loginPage(w, http.StatusUnauthorized, "")
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="mycoswarm"`)
			g.turnAway(w, r, http.StatusUnauthorized, noKey(a, ended))
		}
	})
}

// turnAway refuses a request once it is read, within bodyLimit and what its route takes.
func (g *Gateway) turnAway(w http.ResponseWriter, r *http.Request, status int, e *bus.Error) {
	readOn(r, r.Body, 0)
	dialectOf(r).refuse(g, w, status, e)
}

// noKey tells what is wanted of a request without a key, or with one that is none.
func noKey(a access, ended bool) *bus.Error {
	e := bus.Errorf(bus.CodeForbidden, "the key is missing or wrong")
	if ended {
		e = bus.Errorf(bus.CodeForbidden, "the key is wrong, of another node, or was revoked")
	}
	if a == forKey {
		return e.WithHint("send the header Authorization: Bearer KEY, with the content of %s in the data directory", bus.HTTPKeyFile)
	}
	return e.WithHint("send the header Authorization: Bearer KEY, with a key of `myco key create` on this node, or the content of %s in its data directory", bus.HTTPKeyFile)
}

// admit serves a request with a key, within what the key may do, for as long as it is good.
func (g *Gateway) admit(h *holder, a access, next http.Handler, w http.ResponseWriter, r *http.Request) {
	if !h.may(a) {
		e := bus.Errorf(bus.CodeForbidden, "this key opens the interfaces of Ollama, OpenAI and Anthropic, and /mcp, and not the swarm's own").
			WithHint("send the owner's key: the content of %s in the data directory", bus.HTTPKeyFile)
		if a == forManager {
			e = bus.Errorf(bus.CodeForbidden, "this key may not pull or delete models, nor have pages fetched").WithHint("make one that may: myco key create --admin")
		}
		if a == forViewer {
			e = bus.Errorf(bus.CodeForbidden, "this key does not open the dashboard").WithHint("make one that does: myco key create --admin")
		}
		g.turnAway(w, r, http.StatusForbidden, e)
		return
	}
	done, wait, e := h.enter(r, time.Now(), g.cancelsCall(h, r))
	if e != nil {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		g.turnAway(w, r, http.StatusTooManyRequests, e)
		return
	}
	defer done()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(context.Cause(h.ctx)) })()
	next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, holderKey{}, h)))
}

package gateway

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// headerAnswer, of a request, is a name that its client has made up for the answer: it may drop then, and come back for the rest.
const headerAnswer = "X-Myco-Answer"

const (
	answerFor   = time.Hour // that an answer is kept, and written, from when it was last read
	answerMost  = 16 << 20  // bytes of one
	answerEnd   = 64 << 10  // bytes of what ends one that is longer
	answersMost = 128 << 20 // bytes of all
	answersLong = 1000      // how many
)

// stopRoute is the only one that ends what another request has begun.
const stopRoute = "DELETE /v1/answers/{id}"

var answerRoutes = []route{
	{"GET /v1/answers/{id}", forLocal, openAIDialect.handle((*Gateway).readAnswer)},
	{stopRoute, forLocal, openAIDialect.handle((*Gateway).stopAnswer)},
}

// answers are those whose clients may come back to them.
type answers struct {
	mu    sync.Mutex
	by    map[answerName]*keptAnswer
	order []*keptAnswer // all that take room, oldest first: those in by, and those that are kept no more and still written or read
	bytes int
}

// answerName is whose an answer is, as Task.User, and what that one has called it.
type answerName struct{ user, id string }

type keptAnswer struct {
	*transcript
	name   answerName
	holder *holder                 // whose key has asked for it; nil: it was asked for without
	cancel context.CancelCauseFunc // ends what writes it
	size   int                     // guarded by answers.mu, as all that follows
	most   int                     // that size may be
	done   bool
	gone   bool        // it is kept no more
	leave  *time.Timer // runs while nobody reads
	reads  int
}

var answerID = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)

var (
	errLongAnswer = bus.Errorf(bus.CodeTooLarge, "the answer is longer than there is room for: %d MiB for one that is kept, %d for all", answerMost>>20, answersMost>>20).
			WithHint("ask without the header %s", headerAnswer)
	errManyAnswers = bus.Errorf(bus.CodeBusy, "the answers that are written or read here leave no room for another").
			WithHint("wait for one of yours to end, or ask without the header %s", headerAnswer)
	errStopped = bus.Errorf(bus.CodeCancelled, "the answer was stopped")
	errUnread  = bus.Errorf(bus.CodeCancelled, "nobody has read the answer for an hour")
)

// begin makes room for an answer that a holder has asked for, which one reads, and which cancel ends.
func (s *answers) begin(name answerName, by *holder, cancel context.CancelCauseFunc) (*keptAnswer, error) {
	if !answerID.MatchString(name.id) {
		return nil, bus.Errorf(bus.CodeInvalid, "%s: %q: want 16 to 64 letters, digits, - or _, made up at random", headerAnswer, name.id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by[name] != nil {
		return nil, bus.Errorf(bus.CodeConflict, "there is an answer of this name, %s", name.id).WithHint("GET /v1/answers/%s", name.id)
	}
	if !s.fits(name.user, 1, 0) {
		return nil, errManyAnswers
	}
	for len(s.order) >= answersLong && s.giveWay() {
	}
	a := &keptAnswer{name: name, holder: by, cancel: cancel, most: answerMost}
	a.transcript = newTranscript(func(n int) error { return s.grow(a, n) })
	a.leave = time.AfterFunc(answerFor, func() { s.unread(a) })
	if s.by == nil {
		s.by = map[answerName]*keptAnswer{}
	}
	s.by[name], s.order = a, append(s.order, a)
	s.open(a)
	return a, nil
}

// find returns an answer to read, until close is called.
func (s *answers) find(name answerName) (*keptAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.by[name]
	if a == nil {
		return nil, noAnswer(name.id)
	}
	if a.idle() && !s.fits(name.user, 1, a.size) {
		return nil, errManyAnswers
	}
	s.open(a)
	return a, nil
}

func (s *answers) open(a *keptAnswer) {
	a.reads++
	a.leave.Stop()
}

func (s *answers) close(a *keptAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.reads--; a.reads == 0 && !a.gone {
		a.leave.Reset(answerFor)
	}
	s.forget(a)
}

// idle tells that an answer is neither written nor read.
func (a *keptAnswer) idle() bool { return a.done && a.reads == 0 }

// ended notes that an answer is written. One that is an error is not kept: who has not read it asks again.
func (s *answers) ended(a *keptAnswer) {
	a.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.done = true; a.status != http.StatusOK {
		s.drop(a)
	}
	s.forget(a)
}

// fits reports whether a user may have more answers, and bytes of them, that are written or read. Those give no way to others, so
// nobody has more of them than he leaves: his own count twice.
func (s *answers) fits(user string, places, bytes int) bool {
	places, bytes = 2*places, 2*bytes
	for _, a := range s.order {
		switch {
		case a.idle():
		case a.name.user == user:
			places, bytes = places+2, bytes+2*a.size
		default:
			places, bytes = places+1, bytes+a.size
		}
	}
	return places <= answersLong && bytes <= answersMost
}

// grow makes room for n bytes more of an answer.
func (s *answers) grow(a *keptAnswer, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.size+n > a.most || !a.gone && !s.fits(a.name.user, 0, n) {
		s.drop(a)
		a.cancel(errLongAnswer)
		return errLongAnswer
	}
	for s.bytes+n > answersMost && s.giveWay() {
	}
	s.bytes += n
	a.size += n
	return nil
}

// giveWay drops an answer that is written and not just read, and reports whether there was one.
func (s *answers) giveWay() bool {
	idle := func(yield func(*keptAnswer) bool) {
		for _, a := range s.order {
			if a.idle() && !yield(a) {
				return
			}
		}
	}
	a, ok := oldestOfMost(idle, func(a *keptAnswer) (string, int) { return a.name.user, a.size + answersMost/answersLong })
	if ok {
		s.drop(a)
	}
	return ok
}

// unread ends an answer that nobody reads.
func (s *answers) unread(a *keptAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.reads == 0 {
		s.drop(a)
		a.cancel(errUnread)
	}
}

// stop ends the work on an answer, and reports whether there is one of that name.
func (s *answers) stop(name answerName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.by[name]
	if a == nil {
		return false
	}
	s.drop(a)
	a.cancel(errStopped)
	return true
}

// drop keeps an answer no more. Who reads it reads on, and hears why it ends.
func (s *answers) drop(a *keptAnswer) {
	if a.gone {
		return
	}
	a.gone, a.most = true, a.size+answerEnd
	a.leave.Stop()
	delete(s.by, a.name)
	s.forget(a)
}

// forget gives back the room of an answer that is kept no more, once nobody has it.
func (s *answers) forget(a *keptAnswer) {
	if i := slices.Index(s.order, a); i >= 0 && a.gone && a.idle() {
		s.order = slices.Delete(s.order, i, i+1)
		s.bytes -= a.size
	}
}

// keeping has serve answer a request whose client may drop and come back: what serve writes is kept, and goes to the client beside.
// It ends when serve does, and the client has got all or has left.
func (g *Gateway) keeping(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter, *http.Request)) error {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	defer context.AfterFunc(g.life, func() { cancel(errStops) })()
	if h := holderOf(r); h != nil {
		defer context.AfterFunc(h.ctx, func() { cancel(context.Cause(h.ctx)) })()
	}
	a, err := g.answers.begin(answerName{userOf(r), r.Header.Get(headerAnswer)}, holderOf(r), cancel)
	if err != nil {
		return wrong{err: bus.AsError(err)}
	}
	out := &scribe{transcript: a.transcript, conn: w, header: w.Header().Clone()}
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary"} {
		out.header.Del(name) // they are for who has asked now
	}
	if begun := g.keep(out, a, r, func() { serve(out, r.WithContext(ctx)) }); !begun && out.full != nil {
		return wrong{err: errLongAnswer}
	}
	return nil
}

// keep has serve write an answer into out, and its client read it, of whom it tells whether there was anything for it.
func (g *Gateway) keep(out *scribe, a *keptAnswer, r *http.Request, serve func()) (begun bool) {
	ctx, leave := a.reading(r)
	defer leave()
	var reader sync.WaitGroup
	reader.Go(func() {
		defer g.answers.close(a)
		var err error
		if begun, err = a.copyTo(ctx, out.conn, 0); err != nil {
			g.cfg.Logger.Debug("an answer is left", "answer", a.name.id, "err", err)
		}
	})
	defer reader.Wait()
	func() {
		defer g.answers.ended(a)
		serve()
		out.whole()
	}()
	reader.Wait()
	return begun
}

// reading returns a context for who reads an answer. It ends when the client leaves. Where its key ends or this node stops, and so the
// answer, which tells of that, there is as much time for the rest as for a piece.
func (a *keptAnswer) reading(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, leave := context.WithCancel(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(r.Context(), func() {
		if why := ended(r); why == nil || !errors.Is(why, errStops) && holderOf(r) != a.holder {
			leave()
			return
		}
		time.AfterFunc(writeLimit, leave)
	})
	return ctx, func() { stop(); leave() }
}

// readAnswer streams an answer, from the event after that of Last-Event-ID on.
func (g *Gateway) readAnswer(w http.ResponseWriter, r *http.Request) error {
	last := 0
	if v := r.Header.Get("Last-Event-ID"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return wrong{err: bus.Errorf(bus.CodeInvalid, "Last-Event-ID %q: want the number of an event", v)}
		}
		last = n
	}
	a, err := g.answers.find(answerName{userOf(r), r.PathValue("id")})
	if err != nil {
		return err
	}
	defer g.answers.close(a)
	ctx, leave := a.reading(r)
	defer leave()
	from, rest, ok := a.position(last)
	if !ok {
		return wrong{err: bus.Errorf(bus.CodeInvalid, "Last-Event-ID %d: the answer has fewer events", last)}
	}
	if !rest {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	begun, err := a.copyTo(ctx, w, from)
	switch {
	case begun && err != nil:
		g.cfg.Logger.Debug("an answer is left", "answer", a.name.id, "err", err)
	case begun:
	case err != nil: // its key has ended, too
		return err
	default:
		return noAnswer(r.PathValue("id"))
	}
	return nil
}

// stopAnswer ends the work on an answer.
func (g *Gateway) stopAnswer(w http.ResponseWriter, r *http.Request) error {
	if !g.answers.stop(answerName{userOf(r), r.PathValue("id")}) {
		return noAnswer(r.PathValue("id"))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func noAnswer(id string) error {
	return wrong{err: bus.Errorf(bus.CodeNotFound, "there is no answer %q here: it was stopped, or nobody has read it for an hour, or this node has started anew since", id).
		WithHint("ask again")}
}

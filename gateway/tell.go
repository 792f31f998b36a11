package gateway

import (
	"net/http"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// question is a request of which the answer is spelled by a teller.
type question struct {
	task   bus.TaskID // that is to answer, or the first of them
	model  string
	stream bool
	// restarts is set where the interface has a word for a stream that begins anew, see headerOnLoss.
	restarts bool
	req      bus.InferenceRequest
	hosted   *hosted // the tools that the swarm has itself; nil where it is asked for none
	// rest takes in what of the request has documents, which may take long to read; nil where it is done.
	rest func(*http.Request) error
}

// readRest does what rest does, and has the client told meanwhile. out is nil where the answer is told at once.
func (q *question) readRest(r *http.Request, out *stream) error {
	rest := q.rest
	if q.rest = nil; rest == nil { // which has all of the request
		return nil
	}
	if out != nil {
		out.reading = time.Now()
		defer func() { out.reading = time.Time{} }()
	}
	return rest(r)
}

// teller spells answers as one interface does.
type teller interface {
	heeds
	// whole is an answer at once.
	whole(bus.InferenceResult) any
	// piece writes a piece of a stream, ends what comes after the last, and fails why there is no more.
	piece(*stream, bus.InferenceChunk) error
	ends(*stream, bus.InferenceResult) error
	fails(*stream, int, *bus.Error) error
}

// tell asks the swarm, and has t spell the answer.
func (g *Gateway) tell(w http.ResponseWriter, r *http.Request, q *question, t teller) error {
	nameAfterTask(w, q.task)
	if !q.stream {
		info, res, err := g.answer(r, q, t, nil, nil)
		if err != nil {
			return err
		}
		answered(w, q.task, info.NodeID, res.Demo)
		g.write(w, http.StatusOK, t.whole(res))
		return nil
	}
	if !q.restarts && r.Header.Get(headerOnLoss) == lossRestart {
		return wrong{err: bus.Errorf(bus.CodeInvalid, "%s: %s: this interface has no word for an answer that begins anew", headerOnLoss, lossRestart)}
	}
	out := newEvents(w, q.task)
	defer out.end()
	info, res, err := g.answer(out.keepAlive(out.notes(r)), q, t, out, func(node bus.NodeID, c bus.InferenceChunk) error {
		out.begin(node, c.Demo)
		out.more = c.More
		return t.piece(out, c)
	})
	return g.closes(r, out, err, t.fails, func() error {
		out.begin(info.NodeID, res.Demo)
		return t.ends(out, res)
	})
}

// closes has a stream end after its pieces, with ends, or where err says why there are no more, with fails. It returns an
// error that is still to be told.
func (g *Gateway) closes(r *http.Request, out *stream, err error, fails func(*stream, int, *bus.Error) error, ends func() error) error {
	switch {
	case err != nil && !out.begun:
		return err
	case err != nil:
		status, e := g.explain(r, err)
		err = fails(out, status, e)
	default:
		err = ends()
	}
	if err != nil {
		g.cfg.Logger.Debug("write a reply", "err", err) // the client left
	}
	return nil
}

// event writes one object under a name.
func (s *stream) event(name string, v any) error {
	s.before = "event: " + name + "\ndata: "
	return s.send(v)
}

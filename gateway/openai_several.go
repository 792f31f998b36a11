package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
)

// choicesMost is how many answers one request may want.
const choicesMost = 16

// each returns a question of its own for each answer that is wanted, in the order of their indices, and lets go of what is
// asked. A seed is that of the first answer to each prompt, and one more for each next: with the same one they would all be
// the same.
func (q *openAIQuestion) each() (all []*openAIQuestion) {
	prompts := q.prompts
	if len(prompts) == 0 {
		prompts = []string{q.req.Prompt}
	}
	bytes := 0
	for _, prompt := range prompts {
		bytes += len(prompt)
	}
	for _, prompt := range prompts {
		for i := range q.choices {
			one := *q
			if len(all) > 0 {
				one.task = "" // it has its own
			}
			one.index, one.beside, one.req.Prompt, one.prompts = len(all), bytes-len(prompt), prompt, nil
			if q.req.Seed != nil {
				seed := *q.req.Seed + int64(i)
				one.req.Seed = &seed
			}
			all = append(all, &one)
		}
	}
	q.req, q.prompts = bus.InferenceRequest{}, nil
	return all
}

// asksBy is the field by which a request asks for more than one answer.
func (q *openAIQuestion) asksBy() string {
	if q.choices > 1 {
		return "n"
	}
	return "prompt"
}

// openAISeveral answers a request for several answers. Each is a task of its own, so that whichever nodes are free give them
// at the same time, and counts as a request of its own; where one fails, there is none.
func (g *Gateway) openAISeveral(w http.ResponseWriter, r *http.Request, q *openAIQuestion) error {
	nameAfterTask(w, q.task)
	if q.hosted != nil {
		return misfit("n", "of an answer from the web there is one")
	}
	if n, h := q.choices*max(1, len(q.prompts)), holderOf(r); h != nil {
		if h.Concurrent > 0 && n > h.Concurrent {
			return misfit(q.asksBy(), "this key may have %s under way, and each of %d answers is one", requests(h.Concurrent), n)
		}
		done, err := h.begin(n - 1)
		if err != nil {
			return err
		}
		defer done()
	}
	if q.stream {
		return g.streamSeveral(w, r, q)
	}
	if err := q.readRest(r, nil); err != nil {
		return err
	}
	var first bus.TaskInfo
	all := q.each()
	results, err := g.sideBySide(r, all, func(r *http.Request, one *openAIQuestion) (res bus.InferenceResult, err error) {
		info, res, err := g.answer(r, &one.question, one, nil, nil)
		if one.index == 0 {
			first = info
		}
		return res, err
	})
	if err != nil {
		return err
	}
	answered(w, q.task, first.NodeID, results[0].Demo)
	out := q.reply()
	for i, one := range all {
		out.Choices = append(out.Choices, one.message(results[i]).Choices...)
	}
	out.Usage = q.usageOf(results)
	g.write(w, http.StatusOK, out)
	return nil
}

// requestsOf are copies of r, one for each question. All but the first hold room of their own for what they have of it, until done is
// called.
func requestsOf(r *http.Request, all []*openAIQuestion) (requests []*http.Request, done func(), err error) {
	for range all {
		requests = append(requests, r.WithContext(r.Context()))
	}
	in, counts := r.Body.(*body)
	if !counts {
		return requests, func() {}, nil
	}
	more, bodies := int64(0), []*body(nil)
	for i, one := range all[1:] {
		own := in.again(in.read - int64(one.beside))
		more += own.come
		bodies = append(bodies, own)
		requests[i+1].Body = own
	}
	if more > 0 && in.held+more > in.room.steps { // nor will there be
		return nil, nil, wrong{err: bus.Errorf(bus.CodeTooLarge, "%s: this node has room for %d MiB of large requests, and %d answers to this one take more",
			all[0].asksBy(), in.room.steps, len(all)).WithHint("ask for fewer at once"), field: all[0].asksBy()}
	}
	done = func() {
		for _, own := range bodies {
			own.room.release(own.held)
		}
	}
	for _, own := range bodies {
		if err := own.hold(own.come); err != nil {
			done()
			return nil, nil, err
		}
	}
	return requests, done, nil
}

// sideBySide asks all at the same time, if there is room for what each has of the request, and returns their results. Where one
// fails, the others are cancelled.
func (g *Gateway) sideBySide(r *http.Request, all []*openAIQuestion, ask func(*http.Request, *openAIQuestion) (bus.InferenceResult, error)) ([]bus.InferenceResult, error) {
	group, ctx := errgroup.WithContext(r.Context())
	requests, done, err := requestsOf(r.WithContext(ctx), all)
	if err != nil {
		return nil, err
	}
	defer done()
	results := make([]bus.InferenceResult, len(all))
	var fault atomic.Pointer[string]
	for i, one := range all {
		group.Go(func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					at := fmt.Sprintf("%v\n\n%s", p, debug.Stack())
					fault.Store(&at)
					err = errFault
				}
			}()
			results[i], err = ask(requests[i], one)
			return err
		})
	}
	err = group.Wait()
	if at := fault.Load(); at != nil {
		panic(*at) // where the server ends this request alone, as it does one for a single answer
	}
	return results, err
}

// errFault ends the other answers where one has panicked.
var errFault = errors.New("one of the answers panicked")

// usageOf adds up what several answers took: a prompt counts once, however many answers there are to it.
func (q *openAIQuestion) usageOf(results []bus.InferenceResult) *openAIUsage {
	var sum bus.InferenceResult
	for i, r := range results {
		if i%q.choices == 0 {
			sum.PromptTokens, sum.CachedTokens = sum.PromptTokens+r.PromptTokens, sum.CachedTokens+r.CachedTokens
		}
		sum.OutputTokens += r.OutputTokens
	}
	return usageOf(sum)
}

// streamSeveral streams several answers, of which the pieces come as they are made; each has the index of its answer.
func (g *Gateway) streamSeveral(w http.ResponseWriter, r *http.Request, q *openAIQuestion) error {
	out := newEvents(w, q.task)
	defer out.end()
	if err := q.readRest(out.keepAlive(r), out); err != nil {
		return g.closes(r, out, err, q.fails, nil)
	}
	all := q.each()
	var mu sync.Mutex // of out
	results, err := g.sideBySide(out.shared(&mu, r), all, func(r *http.Request, one *openAIQuestion) (bus.InferenceResult, error) {
		info, res, err := g.answer(r, &one.question, one, nil, func(node bus.NodeID, c bus.InferenceChunk) error {
			mu.Lock()
			defer mu.Unlock()
			if out.node == "" { // of several nodes the first is told, if behind comments that had to go before
				out.begin(node, c.Demo)
			}
			out.more = c.More
			return one.piece(out, c)
		})
		if err != nil {
			return res, err
		}
		mu.Lock()
		defer mu.Unlock()
		if out.node == "" {
			out.begin(info.NodeID, res.Demo)
		}
		out.more = false
		return res, one.finishes(out, res)
	})
	return g.closes(r, out, err, q.fails, func() error { return q.over(out, q.usageOf(results)) })
}

// shared is keepAlive and notes for a stream that several answers write to, one at a time under mu.
func (s *stream) shared(mu *sync.Mutex, r *http.Request) *http.Request {
	told := s.notes(r)
	note, waiting := noteOf(told), s.waiting
	ctx := context.WithValue(r.Context(), noteKey{}, func(text string) error {
		mu.Lock()
		defer mu.Unlock()
		return note(text)
	})
	return r.WithContext(context.WithValue(ctx, waitKey{}, func(position int, wait time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		return waiting(position, wait)
	}))
}

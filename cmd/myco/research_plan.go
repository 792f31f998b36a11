package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// queryMost is how long a query is at most, in bytes: search engines look at no more words.
	queryMost = 400
	// planTokens is how long a plan may be: models that keep to no schema may write on and on.
	planTokens = 600
)

// plan has the model think of queries that find what answers the question, beside the question itself. A model that has
// none to offer is no error.
func (r *research) plan(ctx context.Context) ([]string, error) {
	most := r.Searches - 1
	if most == 0 {
		return nil, nil
	}
	req, err := r.planRequest(most)
	if err != nil {
		return nil, err
	}
	t, err := r.ofModel(req)
	if err != nil {
		return nil, err
	}
	_, res, err := resultOf[bus.InferenceResult](ctx, r.holdups, t)
	if err != nil && !ofTheDocument(bus.AsError(err).Code) { // the answer would come to nothing either
		return nil, err
	}
	queries := plannedQueries(res.Text, r.query(), most)
	switch {
	case err != nil:
		r.tell("[no plan: %s; the question itself is searched for]", oneLine(bus.AsError(err).Message))
	case len(queries) == 0:
		r.tell("[%s plans no searches: the question itself is searched for]", oneLine(res.Model))
	}
	return queries, nil
}

// planRequest asks for so many queries at most.
func (r *research) planRequest(most int) (bus.InferenceRequest, error) {
	format, err := json.Marshal(map[string]any{
		"type": "object", "required": []string{"queries"}, "additionalProperties": false,
		"properties": map[string]any{"queries": map[string]any{"type": "array", "items": map[string]string{"type": "string"}, "minItems": 1, "maxItems": most}},
	})
	if err != nil {
		return bus.InferenceRequest{}, fmt.Errorf("encode the schema of a plan: %w", err)
	}
	req := bus.InferenceRequest{
		System: "You plan searches of the web. " + r.today() + ` Answer with JSON alone: {"queries": ["...", "..."]}.`,
		Prompt: fmt.Sprintf("Write up to %d queries for a search engine that together find what answers the question below. Each is a few words long, "+
			"as people type them, and looks for another part of the answer or says it in other words. Name places, products and years where the question depends on them.\n\nQuestion: %s", most, r.question),
		Format: format, MaxTokens: planTokens,
	}
	if thinks(mayAnswer(r.status, r.Model, r.node, r.Remote)) { // a plan is not worth the wait
		req.Think = json.RawMessage("false")
	}
	return req, nil
}

// today is the date, in a sentence: models believe that it is the day they were trained.
func (r *research) today() string {
	return "Today is " + r.now().Format("Monday, 2 January 2006") + "."
}

// ofModel is a task for the model that plans and answers.
func (r *research) ofModel(req bus.InferenceRequest) (bus.Task, error) {
	if err := req.Validate(); err != nil {
		return bus.Task{}, err
	}
	t, err := bus.NewTask(bus.TypeInference, req)
	t.Model, t.Node, t.Remote = r.Model, r.node, r.Remote
	return t, err
}

// query is the question as search engines take it.
func (r *research) query() string { return asQuery(r.question) }

// request is a search.
func (r *research) request(query string) bus.SearchRequest {
	return bus.SearchRequest{Query: query, Language: r.Language, Since: r.Since}
}

// plannedQueries are the queries in an answer, so many at most, that differ from question and each other. Where the answer
// is no JSON, or says nothing that can be searched for, there are none.
func plannedQueries(answer, question string, most int) (out []string) {
	for seen := []string{question}; len(out) == 0; { // models that keep to no schema talk around it, or think aloud with braces
		from := strings.IndexByte(answer, '{')
		if from < 0 {
			return nil
		}
		var plan struct{ Queries []string }
		if json.NewDecoder(strings.NewReader(answer[from:])).Decode(&plan) != nil {
			plan.Queries = nil
		}
		answer = answer[from+1:]
		for _, q := range plan.Queries {
			q = asQuery(q)
			known := slices.ContainsFunc(seen, func(s string) bool { return strings.EqualFold(s, q) })
			if len(out) < most && !known && strings.ContainsFunc(q, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) {
				seen, out = append(seen, q), append(out, q)
			}
		}
	}
	return out
}

// asQuery is text in one line, cut where search engines read no further.
func asQuery(text string) string {
	text = printable(strings.ToValidUTF8(text, ""))
	return strings.TrimSpace(beginning(strings.Join(strings.Fields(text), " "), queryMost))
}

// dayOf is a date as sources have it; empty where there is none.
func dayOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

package main

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// prompts are what a model wants before a question, and before a passage.
type prompts struct{ question, passage string }

// embedPrompts are those that a model was trained with, by its card; other models want none.
func embedPrompts(model string) prompts {
	const represent = "Represent this sentence for searching relevant passages: "
	family, _, _ := strings.Cut(path.Base(model), ":")
	return map[string]prompts{
		"nomic-embed-text":        {"search_query: ", "search_document: "},
		"nomic-embed-text-v2-moe": {"search_query: ", "search_document: "},
		"mxbai-embed-large":       {represent, ""},
		"bge-large":               {represent, ""},
		"snowflake-arctic-embed":  {represent, ""},
		"snowflake-arctic-embed2": {"query: ", ""},
		"multilingual-e5-large":   {"query: ", "passage: "},
		"embeddinggemma":          {"task: search result | query: ", "title: none | text: "},
		"qwen3-embedding":         {"Instruct: Given a question, retrieve passages that answer it\nQuery: ", ""},
	}[family]
}

// embedText is what a model makes the vector of a passage of: what it is a part of tells much of what it is about.
func embedText(model, called, passage string) string {
	return embedPrompts(model).passage + called + "\n" + passage
}

// embedder is the model that makes vectors for a new library: one that does nothing else, and that most nodes have.
// Empty where there is none.
func embedder(nodes []bus.NodeInfo) string {
	have := map[string]int{}
	for _, n := range nodes {
		for _, m := range n.Embedders {
			if !m.Demo && m.Can&bus.Answers == 0 && n.State.Live() {
				have[bus.CanonicalModel(m.Name)]++
			}
		}
	}
	best := ""
	for m, n := range have {
		if best == "" || cmp.Or(cmp.Compare(n, have[best]), cmp.Compare(best, m)) > 0 {
			best = m
		}
	}
	return best
}

// embed has the swarm make vectors of texts, and tells who did. Where nodes have different models of this name, it is the
// one of this digest, if there is one. A text that is too long for the model is cut.
func (h *holdups) embed(ctx context.Context, model, digest string, lane bus.Lane, texts []string) (bus.EmbedResult, bus.NodeID, error) {
	t, err := bus.NewTask(bus.TypeEmbed, bus.EmbedRequest{Inputs: texts, Truncate: true})
	if err != nil {
		return bus.EmbedResult{}, "", err
	}
	t.Model, t.Lane = model, lane
	r, by, err := h.embedOn(ctx, t, len(texts))
	if err != nil || digest == "" || r.Digest == "" || r.Digest == digest {
		return r, by, err
	}
	status, err := h.conn.Status(ctx)
	if err != nil {
		return r, by, err
	}
	for _, n := range status.Nodes {
		if n.State.Live() && slices.ContainsFunc(n.Embedders, func(m bus.ModelInfo) bool { return bus.SameModel(m.Name, model) && m.Digest == digest }) {
			t.Node = n.ID
			if right, node, err := h.embedOn(ctx, t, len(texts)); err == nil && right.Digest == digest {
				return right, node, nil
			}
		}
	}
	return r, by, ctx.Err()
}

// embedOn has t, a task of so many texts, done.
func (h *holdups) embedOn(ctx context.Context, t bus.Task, texts int) (bus.EmbedResult, bus.NodeID, error) {
	end, err := h.done(ctx, t)
	if err != nil {
		return bus.EmbedResult{}, "", err
	}
	r, err := bus.Result[bus.EmbedResult](end)
	if err == nil && (len(r.Vectors) != texts || slices.ContainsFunc(r.Vectors, func(v []float32) bool { return len(v) == 0 })) {
		err = bus.Errorf(bus.CodeFailed, "%s made %d vectors of %d texts", t.Model, len(r.Vectors), texts)
	}
	return r, end.NodeID, err
}

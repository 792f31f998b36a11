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

// embed has the swarm make vectors of texts, and tells who did. A text that is too long for the model is cut.
func (h *holdups) embed(ctx context.Context, model string, lane bus.Lane, texts []string) ([][]float32, bus.NodeID, error) {
	t, err := bus.NewTask(bus.TypeEmbed, bus.EmbedRequest{Inputs: texts, Truncate: true})
	if err != nil {
		return nil, "", err
	}
	t.Model, t.Lane = model, lane
	end, err := h.done(ctx, t)
	if err != nil {
		return nil, "", err
	}
	r, err := bus.Result[bus.EmbedResult](end)
	if err == nil && (len(r.Vectors) != len(texts) || slices.ContainsFunc(r.Vectors, func(v []float32) bool { return len(v) == 0 })) {
		err = bus.Errorf(bus.CodeFailed, "%s made %d vectors of %d texts", model, len(r.Vectors), len(texts))
	}
	return r.Vectors, end.NodeID, err
}

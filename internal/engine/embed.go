package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Embed implements Engine over /api/embed, and for plain vectors over the older /api/embeddings.
func (o *Ollama) Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	started := time.Now()
	res := bus.EmbedResult{Model: model, Engine: KindOllama}
	body := map[string]any{"truncate": req.Truncate}
	if req.Dialect == KindOllama {
		setJSON(body, req.Extra)
	}
	maps.Copy(body, map[string]any{"model": model})
	setJSON(body, map[string]json.RawMessage{"keep_alive": req.KeepAlive})
	if len(req.Options) > 0 {
		body["options"] = req.Options
	}
	var err error
	if req.Plain {
		err = o.embedPlain(ctx, body, req.Inputs, &res)
	} else {
		err = o.embed(ctx, body, req, &res)
	}
	if err != nil {
		return bus.EmbedResult{}, modelMissing(err, o.c, model, "myco pull "+model)
	}
	res.Duration = time.Since(started)
	return res, o.c.counted(res.Vectors, len(req.Inputs))
}

func (o *Ollama) embed(ctx context.Context, body map[string]any, req bus.EmbedRequest, res *bus.EmbedResult) error {
	var got struct {
		Embeddings      [][]float32
		LoadDuration    time.Duration `json:"load_duration"`
		PromptEvalCount int           `json:"prompt_eval_count"`
	}
	body["input"] = append([]string{}, req.Inputs...)
	if req.Dimensions > 0 {
		body["dimensions"] = req.Dimensions
	}
	if err := o.c.call(ctx, http.MethodPost, "/api/embed", asks{body, req.JSONSize()}, &got); err != nil {
		return err
	}
	res.Vectors, res.PromptTokens, res.Loading = got.Embeddings, got.PromptEvalCount, got.LoadDuration
	return nil
}

func (o *Ollama) embedPlain(ctx context.Context, body map[string]any, inputs []string, res *bus.EmbedResult) error {
	for _, s := range inputs {
		body["prompt"] = s
		var got struct{ Embedding []float32 }
		if err := o.c.call(ctx, http.MethodPost, "/api/embeddings", asks{body, len(s)}, &got); err != nil {
			return err
		}
		res.Vectors = append(res.Vectors, got.Embedding)
	}
	return nil
}

// Embed implements Engine over /v1/embeddings. Whether texts are cut, and how long the model stays
// loaded, is the server's own affair.
func (o *OpenAI) Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	started := time.Now()
	res := bus.EmbedResult{Model: model, Engine: KindOpenAI}
	if len(req.Inputs) == 0 { // which only loads the model
		return res, nil
	}
	body := map[string]any{}
	if req.Dialect == KindOpenAI {
		setJSON(body, req.Extra)
	}
	maps.Copy(body, map[string]any{"model": model, "input": req.Inputs, "encoding_format": "float"})
	if req.Dimensions > 0 {
		body["dimensions"] = req.Dimensions
	}
	var got struct {
		Data []struct {
			Index     int
			Embedding []float32
		}
		Usage struct {
			PromptTokens int `json:"prompt_tokens"`
		}
	}
	if err := o.c.call(ctx, http.MethodPost, "/v1/embeddings", asks{body, req.JSONSize()}, &got); err != nil {
		return bus.EmbedResult{}, modelMissing(err, o.c, model, "myco swarm")
	}
	if err := o.c.sameCount(len(got.Data), len(req.Inputs)); err != nil {
		return bus.EmbedResult{}, err
	}
	res.Vectors = make([][]float32, len(req.Inputs))
	for _, d := range got.Data {
		if d.Index < 0 || d.Index >= len(res.Vectors) {
			return bus.EmbedResult{}, o.c.garbled(fmt.Errorf("a vector for input %d of %d", d.Index, len(res.Vectors)))
		}
		res.Vectors[d.Index] = d.Embedding
	}
	res.PromptTokens, res.Duration = got.Usage.PromptTokens, time.Since(started)
	return res, o.c.counted(res.Vectors, len(req.Inputs))
}

func (c *client) sameCount(got, want int) error {
	if got != want {
		return c.garbled(fmt.Errorf("%d vectors for %d inputs", got, want))
	}
	return nil
}

// counted wants a vector, not an empty one, for each input.
func (c *client) counted(vectors [][]float32, inputs int) error {
	if err := c.sameCount(len(vectors), inputs); err != nil {
		return err
	}
	for _, v := range vectors {
		if len(v) == 0 {
			return c.garbled(errors.New("an empty vector"))
		}
	}
	return nil
}

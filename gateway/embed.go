package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// embedRoutes make vectors of texts, in each dialect's way.
var embedRoutes = []route{
	{"POST /api/embed", forLocal, ollamaDialect.handle((*Gateway).ollamaEmbed)},
	{"POST /api/embeddings", forLocal, ollamaDialect.handle((*Gateway).ollamaEmbeddings)},
	{"POST /v1/embeddings", forLocal, openAIDialect.handle((*Gateway).openAIEmbeddings)},
}

// embed has the swarm make vectors, and tells in the header who did. The texts may be cleared.
func (g *Gateway) embed(w http.ResponseWriter, r *http.Request, f *fields, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	var res bus.EmbedResult
	if f.err != nil {
		return res, f.err
	}
	if model == "" {
		return res, wrong{err: bus.Errorf(bus.CodeInvalid, "model is required"), field: "model"}
	}
	if len(f.left) > 0 {
		req.Extra = f.left
	}
	if req.Inputs == nil {
		req.Inputs = []string{} // a list, if an empty one
	}
	if err := req.Validate(); err != nil {
		return res, err
	}
	t, err := g.newTask(r, bus.TypeEmbed, model, req)
	if err != nil {
		return res, err
	}
	t.ID = bus.NewTaskID()
	nameAfterTask(w, t.ID)
	if len(t.Payload) > bus.MaxInline {
		clear(req.Inputs) // the task has them
	}
	info, err := g.run(r, model, t, noPieces)
	if err == nil {
		res, err = bus.Result[bus.EmbedResult](info)
	}
	if err == nil && len(res.Vectors) != len(req.Inputs) {
		err = bus.Errorf(bus.CodeInternal, "there are %d vectors for %d inputs", len(res.Vectors), len(req.Inputs))
	}
	if err == nil {
		answered(w, t.ID, info.NodeID, false)
	}
	return res, err
}

// takeEmbed takes what both of Ollama's forms have.
func takeEmbed(f *fields, model *string) bus.EmbedRequest {
	req := bus.EmbedRequest{Dialect: "ollama", Truncate: true}
	f.take("model", model)
	f.take("options", &req.Options)
	f.take("keep_alive", &req.KeepAlive)
	return req
}

func (g *Gateway) ollamaEmbed(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	var model string
	req := takeEmbed(f, &model)
	var inputs texts
	f.take("input", &inputs)
	f.take("truncate", &req.Truncate)
	f.take("dimensions", &req.Dimensions)
	if req.Inputs = inputs; len(inputs) == 1 && inputs[0] == "" { // it only loads the model
		req.Inputs = nil
	}
	res, err := g.embed(w, r, f, model, req)
	if err != nil {
		return err
	}
	out := map[string]any{"model": model, "embeddings": res.Vectors}
	if len(req.Inputs) > 0 {
		out["total_duration"], out["load_duration"] = res.Duration, res.Loading
	}
	if res.PromptTokens > 0 {
		out["prompt_eval_count"] = res.PromptTokens
	}
	g.write(w, http.StatusOK, out)
	return nil
}

func (g *Gateway) ollamaEmbeddings(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	var model, prompt string
	req := takeEmbed(f, &model)
	req.Plain = true
	f.take("prompt", &prompt)
	if prompt != "" {
		req.Inputs = []string{prompt}
	}
	res, err := g.embed(w, r, f, model, req)
	if err != nil {
		return err
	}
	vector := []float64{} // spelled as Ollama does here
	for _, v := range slices.Concat(res.Vectors...) {
		vector = append(vector, float64(v))
	}
	g.write(w, http.StatusOK, map[string]any{"embedding": vector})
	return nil
}

func (g *Gateway) openAIEmbeddings(w http.ResponseWriter, r *http.Request) error {
	f, err := openAIDialect.readFields(r)
	if err != nil {
		return err
	}
	req := bus.EmbedRequest{Dialect: "openai"}
	var model string
	var inputs texts
	format := "float"
	if isTokens(f.left["input"]) {
		return misfit("input", "want a text, or a list of texts: a list of tokens means nothing to another model than it was made for. "+
			"LangChain's OpenAIEmbeddings send texts with check_embedding_ctx_length=False")
	}
	f.takeAll(field{"model", &model}, field{"input", &inputs}, field{"encoding_format", &format}, field{"dimensions", &req.Dimensions})
	f.drop("user")
	req.Inputs = inputs
	switch {
	case f.err != nil:
	case len(inputs) == 0:
		f.err = misfit("input", "want at least one text")
	case format != "float" && format != "base64":
		f.err = misfit("encoding_format", "%q: want float or base64", format)
	}
	res, err := g.embed(w, r, f, model, req)
	if err != nil {
		return err
	}
	type vector struct {
		Object    string `json:"object"`
		Index     int    `json:"index"`
		Embedding any    `json:"embedding"`
	}
	data := make([]vector, len(res.Vectors))
	for i, v := range res.Vectors {
		data[i] = vector{"embedding", i, v}
		if format == "base64" {
			data[i].Embedding = floats64(v)
		}
	}
	g.write(w, http.StatusOK, map[string]any{
		"object": "list", "data": data, "model": model,
		"usage": map[string]int{"prompt_tokens": res.PromptTokens, "total_tokens": res.PromptTokens},
	})
	return nil
}

// isTokens reports whether an input is a list of tokens, or of such lists.
func isTokens(input json.RawMessage) bool {
	rest, list := bytes.CutPrefix(input, []byte("["))
	rest = bytes.TrimSpace(rest)
	return list && len(rest) > 0 && strings.ContainsRune("[0123456789", rune(rest[0]))
}

// floats64 is a vector in base64: its numbers one after another, four bytes each, the lowest first.
func floats64(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

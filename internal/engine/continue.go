package engine

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Continuer is an Engine that can go on with an answer that another has begun, where it is known that
// nothing is repeated or lost. A model's template may close a message of the assistant's: then to hand
// the beginning back as such a message makes the model begin another. So the prompt is the engine's own,
// as text, with the beginning behind it; or the engine is one that is told to go on.
type Continuer interface {
	// Continue is Generate for the rest of an answer. goesOn is called before the first piece; ok is
	// false, and nothing has been done, where the engine cannot. The result is the whole answer.
	Continue(ctx context.Context, model string, req bus.InferenceRequest, said bus.Said, goesOn func() error, emit func(bus.InferenceChunk) error) (res bus.InferenceResult, ok bool, err error)
}

var (
	_ Continuer = (*Demo)(nil)
	_ Continuer = (*Ollama)(nil)
	_ Continuer = (*OpenAI)(nil)
)

// continuable reports whether an answer to req, of which said is there, is plain text. What a parser or
// a grammar stands behind begins anew: tools, formats, thinking, images, and fields that are not known.
func continuable(req bus.InferenceRequest, said bus.Said) bool {
	switch {
	case said.Text == "", said.Thinking != "", len(said.ToolCalls) > 0:
		return false
	case req.Logprobs && !complete(said.Text, said.Logprobs): // what is told later would be of other tokens
		return false
	case len(req.Tools) > 0, len(req.Format) > 0, len(req.Context) > 0, len(req.Extra) > 0, len(req.Images) > 0:
		return false
	case req.Suffix != "", req.Template != "", len(req.Think) > 0 && string(req.Think) != "false":
		return false
	}
	for _, m := range req.Messages {
		if len(m.Images) > 0 || len(m.ToolCalls) > 0 || m.Role == "tool" {
			return false
		}
	}
	return true
}

// left is how many tokens may follow said; 0 for as many as the engine likes. over reports that there are
// none.
func left(req bus.InferenceRequest, said bus.Said) (tokens int, over bool) {
	if req.MaxTokens == 0 {
		return 0, false
	}
	return max(0, req.MaxTokens-said.Tokens), said.Tokens >= req.MaxTokens
}

// overall makes the figures of a rest those of the whole answer. The prompt had the beginning in it.
func overall(res bus.InferenceResult, said bus.Said) bus.InferenceResult {
	res.PromptTokens = max(0, res.PromptTokens-said.Tokens)
	res.CachedTokens = min(res.CachedTokens, res.PromptTokens)
	res.OutputTokens += said.Tokens
	return asFast(res, said)
}

// asFast adds to the times of a rest what the beginning would have taken at the same speed: how long it took on the
// node that was lost, nobody knows, and tokens over times are the speed that users see.
func asFast(res bus.InferenceResult, said bus.Said) bus.InferenceResult {
	rest := res.OutputTokens - said.Tokens
	if rest <= 0 {
		return res
	}
	more := float64(said.Tokens) / float64(rest)
	res.Duration += time.Duration(more * float64(cmp.Or(res.Writing, res.Duration-res.TTFT)))
	res.Writing += time.Duration(more * float64(res.Writing))
	return res
}

// rest asks for what follows said: post sends the request, and read takes the answer.
func rest(said bus.Said, goesOn func() error, post func() (*http.Response, error), read func(*http.Response) (bus.InferenceResult, error)) (bus.InferenceResult, bool, error) {
	resp, err := post() //nolint:bodyclose // leave does
	if err != nil {
		return bus.InferenceResult{}, bus.IsRetry(err), err
	}
	if err := goesOn(); err != nil {
		leave(resp.Body, false)
		return bus.InferenceResult{}, true, err
	}
	res, err := read(resp)
	leave(resp.Body, err == nil)
	return overall(res, said), true, err
}

// ended returns the whole answer, where said is as long as it may be.
func (a *answer) ended(said bus.Said, goesOn func() error) (bus.InferenceResult, bool, error) {
	if err := goesOn(); err != nil {
		return bus.InferenceResult{}, true, err
	}
	return overall(a.done(reasonLength), said), true, nil
}

// Continue implements Continuer: the server renders the prompt, in whatever template it has for the
// model, and is asked to continue that text, raw. Where it takes answers apart (thinking, a parser of
// the model's own), or does not show its prompt, the answer begins anew.
func (o *Ollama) Continue(ctx context.Context, model string, req bus.InferenceRequest, said bus.Said, goesOn func() error, emit func(bus.InferenceChunk) error) (bus.InferenceResult, bool, error) {
	a := newAnswer(KindOllama, model, req, emit).follows(said)
	tokens, over := left(req, said)
	if over {
		return a.ended(said, goesOn)
	}
	prompt, ok := o.prompt(ctx, model, req)
	if !ok {
		return bus.InferenceResult{}, false, nil
	}
	raw := req
	raw.Mode, raw.Raw, raw.System, raw.Messages, raw.Think = bus.ModeGenerate, true, "", nil, nil
	raw.Prompt, raw.MaxTokens = prompt+said.Text, tokens
	path, body := ollamaBody(model, raw)
	return rest(said, goesOn,
		func() (*http.Response, error) { return o.c.do(ctx, http.MethodPost, path, asks{body, raw.JSONSize()}) },
		func(resp *http.Response) (bus.InferenceResult, error) { return o.read(ctx, resp.Body, a) })
}

// prompt returns the text that the server would give to the model.
func (o *Ollama) prompt(ctx context.Context, model string, req bus.InferenceRequest) (string, bool) {
	if req.Raw {
		return req.Prompt, true
	}
	var show struct {
		Parser, Renderer string
		Capabilities     []string
	}
	err := o.c.call(ctx, http.MethodPost, "/api/show", map[string]string{"model": model}, &show)
	if err != nil || show.Parser != "" || bus.AbilitiesOf(show.Capabilities)&bus.Thinks != 0 {
		return "", false
	}
	path, body := ollamaBody(model, req)
	body["stream"], body["_debug_render_only"] = false, true
	options := ollamaOptions(req)
	options["num_predict"] = 1 // a server that does not know the field answers
	body["options"] = options
	var shown struct {
		Info struct {
			Rendered *string `json:"rendered_template"`
		} `json:"_debug_info"`
	}
	if o.c.call(ctx, http.MethodPost, path, body, &shown) != nil || shown.Info.Rendered == nil {
		return "", false
	}
	return *shown.Info.Rendered, true
}

// Servers with OpenAI's interface that can go on with an answer, as they call themselves.
const (
	ownerLlama = "llamacpp"
	ownerVLLM  = "vllm"
)

// Continue implements Continuer. A text is continued by every server; of a conversation llama-server
// shows the prompt, and vLLM can be told to leave the last message open. Others begin anew.
func (o *OpenAI) Continue(ctx context.Context, model string, req bus.InferenceRequest, said bus.Said, goesOn func() error, emit func(bus.InferenceChunk) error) (bus.InferenceResult, bool, error) {
	a := newAnswer(KindOpenAI, model, req, emit).follows(said)
	tokens, over := left(req, said)
	if over {
		return a.ended(said, goesOn)
	}
	path, body, ok := o.restBody(ctx, model, req, said)
	if !ok {
		return bus.InferenceResult{}, false, nil
	}
	if tokens > 0 {
		body["max_tokens"] = tokens
	}
	return rest(said, goesOn,
		func() (*http.Response, error) {
			return o.c.do(ctx, http.MethodPost, path, asks{body, req.JSONSize() + len(said.Text)})
		},
		func(resp *http.Response) (bus.InferenceResult, error) { return o.read(ctx, resp.Body, a) })
}

// restBody is openAIBody for what follows said.
func (o *OpenAI) restBody(ctx context.Context, model string, req bus.InferenceRequest, said bus.Said) (path string, body map[string]any, ok bool) {
	path, body, err := openAIBody(model, req)
	if err != nil {
		return "", nil, false
	}
	if prompt, text := body["prompt"].(string); text {
		body["prompt"] = prompt + said.Text
		return path, body, true
	}
	switch o.owner(ctx, model) {
	case ownerLlama:
		var shown struct{ Prompt *string }
		if o.c.call(ctx, http.MethodPost, "/apply-template", body, &shown) != nil || shown.Prompt == nil {
			return "", nil, false
		}
		raw := req
		raw.Raw, raw.Prompt, raw.Think = true, *shown.Prompt+said.Text, nil
		path, body, err = openAIBody(model, raw)
		return path, body, err == nil
	case ownerVLLM:
		if last, _ := utf8.DecodeLastRuneInString(said.Text); unicode.IsSpace(last) || strings.TrimLeftFunc(said.Text, unicode.IsSpace) != said.Text {
			return "", nil, false // templates may trim it
		}
		messages, _ := body["messages"].([]openAIMessage)
		body["messages"] = append(messages, openAIMessage{Role: "assistant", Content: said.Text})
		body["continue_final_message"], body["add_generation_prompt"] = true, false
		return path, body, true
	}
	return "", nil, false
}

// owner is what the server calls the program behind a model.
func (o *OpenAI) owner(ctx context.Context, model string) string {
	var list openAIModels
	if o.c.get(ctx, "/v1/models", &list) == nil {
		for _, m := range list.Data {
			if bus.SameModel(m.ID, model) {
				return m.OwnedBy
			}
		}
	}
	return ""
}

package engine

import (
	"context"
	"errors"
	"net/url"

	"github.com/mycoswarm/mycoswarm/bus"
)

// OpenAI is a client of one server with OpenAI's interface.
//
// API: https://platform.openai.com/docs/api-reference/chat
type OpenAI struct{ c *client }

// newOpenAI returns a client of the server at base, which does not end in /v1. It
// connects to nothing.
func newOpenAI(base *url.URL, key *secret) *OpenAI {
	return &OpenAI{newClient(KindOpenAI, base, key)}
}

// Kind returns KindOpenAI.
func (o *OpenAI) Kind() string { return KindOpenAI }

// URL returns the server's address.
func (o *OpenAI) URL() string { return o.c.base.Redacted() }

type openAIModels struct {
	Data []struct {
		ID string
		// OwnedBy names the program, with those that can be told to go on with an answer.
		OwnedBy string `json:"owned_by"`
		// MaxModelLen is vLLM's context length in tokens, Meta is what llama-server tells.
		MaxModelLen int `json:"max_model_len"`
		Meta        struct {
			NCtx      int   `json:"n_ctx"`
			NCtxTrain int   `json:"n_ctx_train"`
			Size      int64 `json:"size"`
		}
		// Status is of a llama-server which loads its models as they are asked for.
		Status struct{ Value string }
	}
}

// Models lists the models of the server. They count as loaded, for these servers load
// their models at start, or do not tell; but not where the server says that one is not.
func (o *OpenAI) Models(ctx context.Context) ([]bus.ModelInfo, error) {
	var list openAIModels
	if err := o.c.get(ctx, "/v1/models", &list); err != nil {
		return nil, err
	}
	studio := o.studio(ctx, list)
	var out []bus.ModelInfo
	for _, m := range list.Data {
		loaded := m.Status.Value == "" || m.Status.Value == "loaded"
		info := bus.ModelInfo{Name: m.ID, Loaded: loaded, SizeBytes: m.Meta.Size, Engine: KindOpenAI}
		for _, n := range []int{m.MaxModelLen, m.Meta.NCtx, m.Meta.NCtxTrain} {
			if n > 0 {
				info.ContextLength = n
				break
			}
		}
		if m.OwnedBy == ownerLlama && loaded {
			if err := o.askLlama(ctx, &info); err != nil {
				return nil, err
			}
		}
		if told, ok := studio[m.ID]; ok {
			told.fill(&info)
		}
		out = append(out, info)
	}
	if ctx.Err() != nil { // what was asked beside the list may be missing
		return nil, o.c.unreachable(ctx, ctx.Err())
	}
	return out, nil
}

// askLlama puts into info what llama-server tells of a model that it has loaded, as far as it does: what it can do, but for
// whether it thinks, how long a context each request has, where its list has the one that it was trained for, and whether
// it answers one at a time. The error is that it wants another key: its list is for everybody.
func (o *OpenAI) askLlama(ctx context.Context, info *bus.ModelInfo) error {
	var props struct {
		Slots    int `json:"total_slots"`
		Settings struct {
			NCtx int `json:"n_ctx"`
		} `json:"default_generation_settings"`
		Caps *struct {
			Tools bool `json:"supports_tools"`
		} `json:"chat_template_caps"`
		Modalities struct{ Vision bool }
	}
	if err := o.c.get(ctx, "/props?"+url.Values{"model": {info.Name}, "autoload": {"false"}}.Encode(), &props); err != nil {
		if !errors.Is(err, errRefuses) {
			err = nil // it does not tell
		}
		return err
	}
	info.OneAtATime = props.Slots == 1
	if props.Settings.NCtx > 0 {
		info.ContextLength = props.Settings.NCtx
	}
	if props.Caps == nil {
		return nil
	}
	if props.Caps.Tools { // one that makes vectors alone has a template, too
		info.Can |= bus.Answers | bus.Tools
	}
	if props.Modalities.Vision {
		info.Can |= bus.Answers | bus.Sees
	}
	return nil
}

package engine

import (
	"cmp"
	"context"

	"github.com/mycoswarm/mycoswarm/bus"
)

// ownerStudio is what LM Studio says of each of its models: its list for clients of OpenAI tells neither which of them make
// vectors alone nor which are loaded.
const ownerStudio = "organization_owner"

// studioModel is what LM Studio tells of a model in an interface of its own, from 0.3.6 on.
//
// API: https://lmstudio.ai/docs/developer/rest/endpoints
type studioModel struct {
	ID            string
	Type          string // llm, vlm or embeddings
	Arch          string
	Quantization  string
	State         string
	LoadedContext int `json:"loaded_context_length"`
	MaxContext    int `json:"max_context_length"`
}

// studio is what LM Studio tells of its models, by their ids; nothing where it is another server, or an older one.
func (o *OpenAI) studio(ctx context.Context, list openAIModels) map[string]studioModel {
	if len(list.Data) == 0 || list.Data[0].OwnedBy != ownerStudio {
		return nil
	}
	var told struct{ Data []studioModel }
	_ = o.c.get(ctx, "/api/v0/models", &told) // without it nothing is known
	out := make(map[string]studioModel, len(told.Data))
	for _, m := range told.Data {
		out[m.ID] = m
	}
	return out
}

// fill puts what m tells into info. That a model is not trained to call tools keeps none of them from it.
func (m studioModel) fill(info *bus.ModelInfo) {
	info.Loaded = m.State != "not-loaded"
	info.ContextLength = cmp.Or(m.LoadedContext, m.MaxContext)
	info.Family, info.Quantization = m.Arch, m.Quantization
	info.Can = map[string]bus.Abilities{
		"llm": bus.Answers | bus.Tools, "vlm": bus.Answers | bus.Tools | bus.Sees, "embeddings": bus.Embeds,
	}[m.Type]
}

package gateway

import (
	"net/http"

	"github.com/mycoswarm/mycoswarm/bus"
)

// anthropicModel is a model in a list. What a swarm does not know of one is null there.
type anthropicModel struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
	// MaxInputTokens is told of a model that is loaded: before, its engine may choose.
	MaxInputTokens *int    `json:"max_input_tokens"`
	MaxTokens      *int    `json:"max_tokens"`
	Capabilities   *string `json:"capabilities"`
	Lifecycle      string  `json:"lifecycle"`
	Line           *string `json:"line"`
	DeprecatedAt   *string `json:"deprecated_at"`
	RetiresAt      *string `json:"retires_at"`
}

func anthropicListed(m bus.ModelInfo) anthropicModel {
	out := anthropicModel{Type: "model", ID: m.Name, DisplayName: m.Name, CreatedAt: orTime(m.ModifiedAt, unknownTime), Lifecycle: "active"}
	if m.Loaded && m.ContextLength > 0 {
		out.MaxInputTokens = &m.ContextLength
	}
	return out
}

// anthropicModels lists all models on one page.
func (g *Gateway) anthropicModels(w http.ResponseWriter, _ *http.Request) error {
	data := []anthropicModel{}
	for _, m := range g.latest() {
		data = append(data, anthropicListed(m))
	}
	out := map[string]any{"data": data, "has_more": false, "first_id": nil, "last_id": nil}
	if len(data) > 0 {
		out["first_id"], out["last_id"] = data[0].ID, data[len(data)-1].ID
	}
	g.write(w, http.StatusOK, out)
	return nil
}

func (g *Gateway) anthropicModel(w http.ResponseWriter, r *http.Request) error {
	m, err := g.modelAsked(r.PathValue("model"))
	if err != nil {
		return err
	}
	g.write(w, http.StatusOK, anthropicListed(m))
	return nil
}

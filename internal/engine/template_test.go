package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// vLLM takes nothing for the template of a model with Mistral's tokenizer: how much to think is not told there then. What a client
// says of the template by itself stays.
func TestOpenAIWithoutATemplate(t *testing.T) {
	t.Parallel()
	const template, other = "chat_template is not supported for Mistral tokenizers.", "temperature must be at least 0"
	own := map[string]json.RawMessage{"chat_template_kwargs": raw(`{"a":1}`)}
	for name, c := range map[string]struct {
		req     bus.InferenceRequest
		says    string
		always  bool
		asked   int
		refused string
	}{
		"an effort":        {bus.InferenceRequest{Think: raw(`"low"`)}, template, false, 2, ""},
		"no thinking":      {bus.InferenceRequest{Think: raw(`false`)}, template, false, 2, ""},
		"another's field":  {bus.InferenceRequest{Think: raw(`"low"`), Dialect: "ollama", Extra: own}, template, false, 2, ""},
		"its own field":    {bus.InferenceRequest{Think: raw(`"low"`), Dialect: "openai", Extra: own}, template, false, 1, template},
		"nothing to leave": {bus.InferenceRequest{}, template, true, 1, template},
		"another reason":   {bus.InferenceRequest{Think: raw(`"low"`)}, other, true, 1, other},
		"again":            {bus.InferenceRequest{Think: raw(`"low"`)}, template, true, 2, template},
	} {
		asked, last := 0, map[string]any{}
		s := openAI(t, func(w http.ResponseWriter, r *http.Request) {
			asked, last = asked+1, map[string]any{}
			if err := json.NewDecoder(r.Body).Decode(&last); err != nil {
				t.Error(err)
			}
			if c.always || last["chat_template_kwargs"] != nil {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"error":{"message":%q,"type":"BadRequestError","param":null,"code":400}}`, c.says)
				return
			}
			fmt.Fprint(w, event("Paris")+finish+doneEvent)
		})
		c.req.Prompt = capital
		res, err := probe(t, s).Generate(t.Context(), "vllm", c.req, func(bus.InferenceChunk) error { return nil })
		if asked != c.asked {
			t.Errorf("%s: asked %d times, want %d", name, asked, c.asked)
		}
		if effort := last["reasoning_effort"]; string(c.req.Think) == `"low"` && effort != "low" {
			t.Errorf("%s: the effort is %v at last", name, effort)
		}
		switch {
		case c.refused != "":
			wantError(t, err, bus.CodeInvalid, false, c.refused)
		case err != nil || res.Text != "Paris":
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
}

package gateway

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// effort says how much to think, in the words that an engine has for it. It is dropped for a model that
// does not think: programs ask any model for it.
func (g *Gateway) effort(q *question, effort string) {
	m, err := g.model(q.model)
	if err != nil || m.Can&bus.Thinks == 0 && m.Engine != "openai" {
		return
	}
	level := cmp.Or(levelOf(effort), effort)
	switch {
	case effort == "none":
		q.req.Think = json.RawMessage("false")
	case m.Engine == "openai" || strings.HasPrefix(m.Family, "gptoss"): // what others have in between is no level of theirs
		q.req.Think, _ = json.Marshal(level) // of a text: cannot fail
		if level == "high" && effort != level {
			said, _ := json.Marshal(effort) // as above
			extra(&q.req, "reasoning_effort", said)
		}
	default:
		q.req.Think = json.RawMessage("true")
	}
}

// levelOf is an effort in the words that every engine with levels has for it; empty where it is none.
func levelOf(effort string) string {
	switch effort {
	case "low", "medium", "high":
		return effort
	case "minimal":
		return "low"
	case "xhigh", "max":
		return "high"
	}
	return ""
}

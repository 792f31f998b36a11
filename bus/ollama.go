package bus

import "encoding/json"

// OllamaMessage is a Message in Ollama's words. Nodes say it to clients of Ollama, and to an Ollama:
// https://github.com/ollama/ollama/blob/main/docs/api.md
type OllamaMessage struct {
	Message
	// ToolCalls stand in place of those of Message.
	ToolCalls []OllamaCall `json:"tool_calls,omitempty"`
}

// OllamaCall is a ToolCall in Ollama's words.
type OllamaCall struct {
	ID       string `json:"id,omitempty"`
	Function struct {
		Index     int             `json:"index"`
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

// InOllama returns m in Ollama's words, in which a call always has arguments.
func (m Message) InOllama() OllamaMessage {
	out := OllamaMessage{Message: m}
	for _, c := range m.ToolCalls {
		call := OllamaCall{ID: c.ID}
		call.Function.Index, call.Function.Name, call.Function.Arguments = c.Index, c.Name, c.Arguments
		if len(c.Arguments) == 0 {
			call.Function.Arguments = json.RawMessage("{}")
		}
		out.ToolCalls = append(out.ToolCalls, call)
	}
	return out
}

// ToolCall returns c in the swarm's words.
func (c OllamaCall) ToolCall() ToolCall {
	return ToolCall{ID: c.ID, Index: c.Function.Index, Name: c.Function.Name, Arguments: c.Function.Arguments}
}

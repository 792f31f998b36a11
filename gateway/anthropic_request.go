package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

func (g *Gateway) anthropicMessages(w http.ResponseWriter, r *http.Request) error {
	f, err := anthropicDialect.readFields(r)
	if err != nil {
		return err
	}
	q := anthropicQuestion{}
	var messages []anthropicInput
	f.fewMessages("messages")
	f.take("messages", &messages)
	q.takeCommon(f)
	q.takeTools(f, g, r)
	q.takeThinking(f, g)
	f.refuse("mcp_servers", "container")
	switch {
	case f.err != nil:
		return f.err
	case q.model == "":
		return wrong{err: bus.Errorf(bus.CodeInvalid, "model is required")}
	case q.req.MaxTokens <= 0:
		return wrong{err: bus.Errorf(bus.CodeInvalid, "max_tokens is required, and at least 1")}
	case len(messages) == 0:
		return misfit("messages", "want at least one")
	}
	q.begins()
	q.rest = func(r *http.Request) error { return q.readMessages(&documents{g: g, r: r}, messages) }
	return g.tell(w, r, &q.question, &q)
}

// readMessages takes the messages, with text in the place of documents.
func (q *anthropicQuestion) readMessages(docs *documents, messages []anthropicInput) (err error) {
	for i, m := range messages {
		if err := m.readIn(docs); err != nil {
			return notRead(fmt.Sprintf("messages[%d]", i), err)
		}
		if q.req.Messages, err = m.add(q.req.Messages); err != nil {
			e := *bus.AsError(err)
			return misfit(fmt.Sprintf("messages[%d]", i), "%s", e.Message)
		}
	}
	for _, m := range q.req.Messages {
		q.estimate += messageSize(m)
	}
	return nil
}

// takeCommon takes what has a word in a task. Whatever else there is means nothing to engines, which
// have no interface of this kind.
func (q *anthropicQuestion) takeCommon(f *fields) {
	var system anthropicText
	f.takeAll(
		field{"model", &q.model}, field{"stream", &q.stream}, field{"system", &system}, field{"max_tokens", &q.req.MaxTokens},
		field{"temperature", &q.req.Temperature}, field{"stop_sequences", &q.req.Stop},
	)
	if system != "" {
		q.req.Messages = append(q.req.Messages, bus.Message{Role: "system", Content: string(system)})
	}
	q.req.Options = f.numbers("top_p", "top_k")
	q.req.Dialect = "openai"
}

func (q *anthropicQuestion) takeTools(f *fields, g *Gateway, r *http.Request) {
	var in []struct {
		Type        string          `json:"type"`
		Name        string          `json:"name"`
		Description string          `json:"description"`
		InputSchema json.RawMessage `json:"input_schema"`
		anthropicHosted
	}
	f.take("tools", &in)
	tools := []openAITool{}
	var others []string // Anthropic's own, which no model here knows
	for _, t := range in {
		if t.Type != "" && t.Type != "custom" {
			if !q.takeHosted(f, g, r, t.Type, t.anthropicHosted) {
				others = append(others, t.Type)
			}
			continue
		}
		q.estimate += len(t.Name) + len(t.Description) + len(t.InputSchema)
		tools = append(tools, openAITool{Type: "function", Function: openAIFunction{Name: t.Name, Description: t.Description, Parameters: t.InputSchema}})
	}
	tools = q.hosted.with(tools)
	noFunction(f, tools, others)
	var choice struct {
		Type, Name string
		Single     bool `json:"disable_parallel_tool_use"`
	}
	f.take("tool_choice", &choice)
	q.offer(f, tools, map[string]json.RawMessage{
		"none": json.RawMessage(`"none"`), "any": json.RawMessage(`"required"`), "tool": functionChoice(choice.Name),
	}[choice.Type])
	if choice.Single {
		parallel(&q.req, false)
	}
}

// takeThinking says whether to think, and in which format to answer.
func (q *anthropicQuestion) takeThinking(f *fields, g *Gateway) {
	var thinking struct{ Type string }
	var output struct {
		Effort string
		Format struct {
			Type   string
			Schema json.RawMessage
		}
	}
	f.take("thinking", &thinking)
	f.take("output_config", &output)
	f.take("output_format", &output.Format)
	if output.Format.Type == "json_schema" {
		q.req.Format = output.Format.Schema
	}
	switch {
	case f.err != nil:
	case thinking.Type == "disabled":
		g.effort(&q.question, "none")
	case thinking.Type != "" && output.Effort != "":
		g.effort(&q.question, output.Effort)
	case thinking.Type != "":
		g.effort(&q.question, "medium")
	}
}

// anthropicText is a text, or a list of blocks of text.
type anthropicText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *anthropicText) UnmarshalJSON(b []byte) error {
	if b[0] == '"' || string(b) == "null" {
		return json.Unmarshal(b, (*string)(t))
	}
	var blocks []anthropicPart
	if err := json.Unmarshal(b, &blocks); err != nil {
		return bus.Errorf(bus.CodeInvalid, "want a text, or a list of blocks")
	}
	texts := make([]string, len(blocks))
	for i, block := range blocks {
		texts[i] = block.Text
	}
	*t = anthropicText(strings.Join(texts, ""))
	return nil
}

// anthropicInput is a message of a request.
type anthropicInput struct {
	Role    string                           `json:"role"`
	Content anthropicContent[anthropicBlock] `json:"content"`
}

// anthropicContent is a text, or blocks. It is read where it stands, since it may be long, and err is told with the message
// that it is of.
type anthropicContent[T anthropicBlock | anthropicPart] struct {
	blocks []T
	err    error
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *anthropicContent[T]) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		c.blocks = make([]T, 1)
		switch to := any(&c.blocks[0]).(type) {
		case *anthropicBlock:
			to.Type, to.Text = "text", text
		case *anthropicPart:
			to.Type, to.Text = "text", text
		}
		return nil
	}
	if b[0] == '{' { // what became of a search that failed, or a page
		b = slices.Concat([]byte{'['}, b, []byte{']'})
	}
	if err := json.Unmarshal(b, &c.blocks); err != nil {
		c.err = noContent("blocks", err)
	}
	return nil
}

// anthropicBlock is a block of a message's content. The content of a tool_result has no such in it.
type anthropicBlock struct {
	anthropicPart
	Content anthropicContent[anthropicPart] `json:"content"`
}

// anthropicPart is a block that holds no others.
type anthropicPart struct {
	Type     string          `json:"type"`
	Text     string          `json:"text"`
	Thinking string          `json:"thinking"`
	Source   anthropicSource `json:"source"`
	// ID, Name and Input are of a tool_use, ToolUseID is of its tool_result.
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	IsError   bool            `json:"is_error"`
	// URL, Title and EncryptedContent are of what a search found, ErrorCode tells why it did not.
	URL              string `json:"url"`
	Title            string `json:"title"`
	EncryptedContent string `json:"encrypted_content"`
	ErrorCode        string `json:"error_code"`
	// Context is of a document, which has a title too, and ToolName of a tool_reference.
	Context  string `json:"context"`
	ToolName string `json:"tool_name"`
	// Page is the document of a page, or what a client has found.
	Page json.RawMessage `json:"content"`
}

// add adds m to a conversation: the results of tools are messages of their own there.
func (m anthropicInput) add(to []bus.Message) ([]bus.Message, error) {
	if m.Content.err != nil {
		return nil, m.Content.err
	}
	role := strings.ToLower(m.Role)
	if role != "user" && role != "assistant" && role != "system" {
		return nil, bus.Errorf(bus.CodeInvalid, "the role %q: want user or assistant", m.Role)
	}
	var own []anthropicPart
	for _, b := range m.Content.blocks {
		switch b.Type {
		case "tool_result":
			result, err := b.within("tool")
			if err != nil {
				return nil, err
			}
			result.ToolCallID, result.ToolName = b.ToolUseID, calledName(to, b.ToolUseID)
			if b.IsError && !strings.Contains(strings.ToLower(result.Content), "error") { // a task has no other word for it
				result.Content = "Error: " + result.Content
			}
			to = append(to, result)
		case "web_search_tool_result", "web_fetch_tool_result": // in the middle of what the assistant said
			if len(own) > 0 {
				before, err := messageOf(role, own)
				if err != nil {
					return nil, err
				}
				to, own = append(to, before), nil
			}
			to = append(to, bus.Message{Role: "tool", ToolCallID: b.ToolUseID, ToolName: calledName(to, b.ToolUseID), Content: foundText(b)})
		case "search_result":
			found, err := b.within("")
			if err != nil {
				return nil, err
			}
			own = append(own, anthropicPart{Type: "text", Text: documentText(b.Title, b.Source.text, found.Content)})
		default:
			own = append(own, b.anthropicPart)
		}
	}
	said, err := messageOf(role, own)
	if err != nil {
		return nil, err
	}
	if said.Content == "" && len(said.Images) == 0 && len(said.ToolCalls) == 0 && said.Thinking == "" && len(m.Content.blocks) > 0 {
		return to, nil
	}
	return append(to, said), nil
}

// within is a message of the blocks within b.
func (b anthropicBlock) within(role string) (bus.Message, error) {
	if b.Content.err != nil {
		return bus.Message{}, b.Content.err
	}
	return messageOf(role, b.Content.blocks)
}

// messageOf makes a message of blocks.
func messageOf(role string, in []anthropicPart) (bus.Message, error) {
	to := bus.Message{Role: role}
	var texts, thoughts []string
	for _, b := range in {
		switch b.Type {
		case "text":
			texts = append(texts, b.Text)
		case "thinking":
			thoughts = append(thoughts, b.Thinking)
		case "document", "search_result":
			text, err := b.document()
			if err != nil {
				return to, err
			}
			texts = append(texts, text)
		case "tool_reference": // all tools are offered, those that are to be found too
			texts = append(texts, "The tool "+b.ToolName+" is there to be called.\n")
		case "redacted_thinking": // for its maker only
		case "image":
			image, err := b.Source.imageIn()
			if err != nil {
				return to, err
			}
			to.Images = append(to.Images, image)
		case "tool_use", "server_tool_use":
			if b.ID == "" || b.Name == "" {
				return to, bus.Errorf(bus.CodeInvalid, "a tool_use wants an id and a name")
			}
			to.ToolCalls = append(to.ToolCalls, bus.ToolCall{ID: b.ID, Index: len(to.ToolCalls), Name: b.Name, Arguments: b.Input})
		default:
			return to, bus.Errorf(bus.CodeInvalid, "a block of the type %q: want text, image, document, thinking, tool_use, tool_result, or a search of the web", b.Type)
		}
	}
	to.Content, to.Thinking = strings.Join(texts, ""), strings.Join(thoughts, "")
	return to, nil
}

// imageIn is the image of a source.
func (s anthropicSource) imageIn() ([]byte, error) {
	switch {
	case s.Type != "base64":
		return nil, bus.Errorf(bus.CodeInvalid, "an image whose source is of the type %q: only images within the request can be seen, as base64", s.Type)
	case s.Data.err != nil:
		return nil, s.Data.err
	case s.Data.image == nil:
		return nil, bus.Errorf(bus.CodeInvalid, "an image without data")
	}
	return s.Data.image, nil
}

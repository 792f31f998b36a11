package gateway

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// openAIParts is how an interface of OpenAI spells the content of a message: as a text, or as a list of
// parts.
type openAIParts struct {
	texts []string // types of parts that are texts
	image string   // the type of those that are images
	file  string   // and of files
	joint string   // what is between two texts
}

var (
	chatParts     = openAIParts{[]string{"text", "refusal"}, "image_url", "file", "\n"}
	responseParts = openAIParts{[]string{"input_text", "output_text", "refusal"}, "input_image", "input_file", ""}
)

// openAIContent is the content of a message: a text, or parts. It is read where it stands, since it may be long, and err
// is told with the message that it is of.
type openAIContent struct {
	text  string
	parts []openAIPart
	err   error
}

type openAIPart struct {
	Type     string   `json:"type"`
	Text     string   `json:"text"`
	Refusal  string   `json:"refusal"`
	ImageURL imageURL `json:"image_url"`
	// File is that of a chat; a part of /v1/responses is one itself.
	File openAIFile `json:"file"`
	openAIFile
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *openAIContent) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &c.text)
	}
	if err := json.Unmarshal(b, &c.parts); err != nil {
		c.err = noContent("parts", err)
	}
	return nil
}

// read puts a content into a message.
func (c openAIParts) read(in openAIContent, to *bus.Message) error {
	if to.Content = in.text; in.err != nil || len(in.parts) == 0 {
		return in.err
	}
	var texts []string
	for _, p := range in.parts {
		switch {
		case slices.Contains(c.texts, p.Type):
			texts = append(texts, p.Text+p.Refusal)
		case p.Type == c.image:
			if p.ImageURL.err != nil {
				return p.ImageURL.err
			}
			if p.ImageURL.image == nil {
				return errNoURL()
			}
			to.Images = append(to.Images, p.ImageURL.image)
		default:
			return bus.Errorf(bus.CodeInvalid, "a part of the type %q: want %s, %s or %s", p.Type, strings.Join(c.texts, ", "), c.image, c.file)
		}
	}
	to.Content = strings.Join(texts, c.joint)
	return nil
}

// argumentsOf reads the arguments of a call. What a model once said that is no object stays a text.
func argumentsOf(text string) (json.RawMessage, error) {
	switch s := strings.TrimSpace(text); {
	case s == "", s == "null":
		return json.RawMessage("{}"), nil
	case s[0] == '{' && json.Valid([]byte(s)):
		return json.RawMessage(s), nil
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInternal, "encode the arguments of a call: %w", err)
	}
	return quoted, nil
}

// calledName returns the name of the tool that the call of that id was of.
func calledName(before []bus.Message, id string) string {
	for _, m := range slices.Backward(before) {
		for _, c := range m.ToolCalls {
			if c.ID == id {
				return c.Name
			}
		}
	}
	return ""
}

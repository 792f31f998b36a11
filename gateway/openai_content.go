package gateway

import (
	"encoding/base64"
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
	joint string   // what is between two texts
}

var (
	chatParts     = openAIParts{[]string{"text", "refusal"}, "image_url", "\n"}
	responseParts = openAIParts{[]string{"input_text", "output_text", "refusal"}, "input_image", ""}
)

// read puts a content into a message.
func (c openAIParts) read(raw json.RawMessage, to *bus.Message) error {
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &to.Content) == nil {
		return nil
	}
	var parts []struct {
		Type     string          `json:"type"`
		Text     string          `json:"text"`
		Refusal  string          `json:"refusal"`
		ImageURL json.RawMessage `json:"image_url"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return noContent("parts", err)
	}
	var texts []string
	for _, p := range parts {
		switch {
		case slices.Contains(c.texts, p.Type):
			texts = append(texts, p.Text+p.Refusal)
		case p.Type == c.image:
			image, err := imageOf(p.ImageURL)
			if err != nil {
				return err
			}
			to.Images = append(to.Images, image)
		default:
			return bus.Errorf(bus.CodeInvalid, "a part of the type %q: want %s or %s", p.Type, strings.Join(c.texts, ", "), c.image)
		}
	}
	to.Content = strings.Join(texts, c.joint)
	return nil
}

// imageOf takes an image out of its data URL. Nodes fetch nothing from the web for a client.
func imageOf(raw json.RawMessage) ([]byte, error) {
	var at struct {
		URL string `json:"url"`
	}
	if json.Unmarshal(raw, &at.URL) != nil && json.Unmarshal(raw, &at) != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "an image_url is neither a text nor an object with a url")
	}
	head, data, ok := strings.Cut(at.URL, ",")
	if !ok || !strings.HasPrefix(head, "data:") || !strings.HasSuffix(head, ";base64") {
		return nil, bus.Errorf(bus.CodeInvalid, "only images within the request can be seen: data:image/png;base64,...")
	}
	image, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "an image: %w", err)
	}
	return image, nil
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

package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"github.com/mycoswarm/mycoswarm/bus"
)

// base64Image is an image as a text in base64. It is decoded where it stands: a large one is not copied before. err is told
// where the image is wanted.
type base64Image struct {
	image []byte // not nil where there is one
	err   error
}

// UnmarshalJSON implements json.Unmarshaler.
func (i *base64Image) UnmarshalJSON(b []byte) error {
	text, err := textIn(b)
	if err == nil {
		i.image, i.err = decodeImage(text)
	}
	return err
}

// imageURL is an image in a data URL, or in an object with one. Nodes fetch nothing from the web for a client.
type imageURL struct{ base64Image }

// UnmarshalJSON implements json.Unmarshaler.
func (u *imageURL) UnmarshalJSON(b []byte) error {
	var at struct {
		URL dataURL `json:"url"`
	}
	var err error
	if b[0] == '{' {
		err = json.Unmarshal(b, &at)
	} else {
		err = at.URL.UnmarshalJSON(b)
	}
	u.base64Image = at.URL.base64Image
	switch {
	case err != nil:
		u.err = errNoURL()
	case u.err == nil && u.image == nil:
		u.err = errFar()
	}
	return nil
}

func errNoURL() error {
	return bus.Errorf(bus.CodeInvalid, "an image_url is neither a text nor an object with a url")
}

func errFar() error {
	return bus.Errorf(bus.CodeInvalid, "only images within the request can be seen: data:image/png;base64,...")
}

type dataURL struct{ base64Image }

// UnmarshalJSON implements json.Unmarshaler.
func (u *dataURL) UnmarshalJSON(b []byte) error {
	text, err := textIn(b)
	if err != nil {
		return err
	}
	head, data, ok := bytes.Cut(text, []byte(","))
	if !ok || !bytes.HasPrefix(head, []byte("data:")) || !bytes.HasSuffix(head, []byte(";base64")) {
		u.err = errFar()
		return nil
	}
	u.image, u.err = decodeImage(data)
	return nil
}

// textIn is the text that b is in JSON, which may be a part of b.
func textIn(b []byte) ([]byte, error) {
	if b[0] == '"' && bytes.IndexByte(b, '\\') < 0 {
		return b[1 : len(b)-1], nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	return []byte(s), err
}

// decodeImage decodes base64. Where much of the text is the ends of lines, what it returns is not a small part of what it made:
// nothing counts the rest.
func decodeImage(text []byte) ([]byte, error) {
	image := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(image, text)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "an image: %w", err)
	}
	if n < len(image)/2 {
		return bytes.Clone(image[:n]), nil
	}
	return image[:n], nil
}

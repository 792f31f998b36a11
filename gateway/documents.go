package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// documentsMost is how many documents within one request the swarm makes text of, one after another.
	documentsMost = 32
	// documentTime is for one: to wait for its turn, on a node that may have to get ready first, and to be read.
	documentTime = 10 * time.Minute
)

// document is a file within a request, of which the model is to get the text.
type document struct {
	name, media string
	data        []byte
}

// documents reads those of a request.
type documents struct {
	g     *Gateway
	r     *http.Request
	count int
	alone bool // the request has but one, and no more: what is wrong is wrong with it
}

// text is what the model gets to read of a document. It counts with the request until its answer ends, in place of the document,
// which goes no further.
func (d *documents) text(in document) (string, error) {
	if d.count++; d.count > documentsMost {
		return "", bus.Errorf(bus.CodeInvalid, "more than %d documents", documentsMost)
	}
	req := bus.FileRequest{MediaType: in.media, Content: in.data}
	if in.name != "" { // which may be a title
		req.Name = strings.Trim(cut(path.Base(strings.NewReplacer("\\", "/", "\n", " ", "\x00", "").Replace(in.name)), 255), "/")
	}
	if err := req.Validate(); err != nil {
		return "", err
	}
	name := documentName{user: userOf(d.r), batch: ofBatch(d.r), name: req.Name, media: req.MediaType, sum: sha256.Sum256(in.data)}
	text, err := d.g.readings.text(d.r, name, func() (string, error) { return d.read(req) })
	if err != nil {
		return "", err
	}
	if b, counts := d.r.Body.(*body); counts {
		if err := b.grows(len(text) - base64.StdEncoding.EncodedLen(len(in.data))); err != nil {
			return "", err
		}
	}
	return documentText(in.name, "", text), nil
}

// read has the swarm make text of a document.
func (d *documents) read(req bus.FileRequest) (string, error) {
	if !d.g.serves(bus.TypeFile) {
		return "", bus.Errorf(bus.CodeInvalid, "a document: no node of the swarm reads files").WithHint("run mycod somewhere without --no-files")
	}
	t, err := bus.NewTask(bus.TypeFile, req)
	if err != nil {
		return "", err
	}
	t.Timeout, t.Part = documentTime, true
	if ofBatch(d.r) {
		t.Timeout = 0 // it waits behind all that people ask
	}
	if b, counts := d.r.Body.(*body); counts {
		defer func(was bool) { b.stays = was }(b.stays)
		b.stays = true
	}
	info, err := d.g.runTask(d.r, t, noPieces)
	switch {
	case err != nil && d.alone:
		return "", err
	case err != nil:
		return "", fmt.Errorf("a document: %w", err)
	}
	res, err := bus.Result[bus.FileResult](info)
	switch {
	case err != nil:
		return "", err
	case strings.TrimSpace(res.Text) == "":
		return "", bus.Errorf(bus.CodeInvalid, "a document without text: pictures of pages are not read")
	}
	return res.Text + leftUnread(res), nil
}

// leftUnread tells the model what it does not see of a document.
func leftUnread(res bus.FileResult) (note string) {
	if len(res.PagesEmpty) > 0 {
		note = fmt.Sprintf("\n\n[pages without text, whose pictures are not shown: %s]", strings.Trim(fmt.Sprint(res.PagesEmpty), "[]"))
	}
	if res.Truncated {
		note += "\n\n[the rest is left out]"
	}
	return note
}

// documentText is a document as the model gets to read it.
func documentText(title, context, text string) string {
	var b strings.Builder
	b.WriteString("\n<document>\n")
	for _, line := range []string{title, context} {
		if line != "" {
			b.WriteString(line + "\n")
		}
	}
	b.WriteString("\n" + text + "\n</document>\n")
	return b.String()
}

// notRead is err about a field, if it has a name, where it is the document that cannot be read and not the swarm that fails: else clients ask again.
func notRead(field string, err error) error {
	e := bus.AsError(err)
	code := e.Code
	switch code {
	case bus.CodeFailed:
		code = bus.CodeInvalid
	case bus.CodeInvalid, bus.CodeTooLarge: // the document, and not the prompt for the model
	default:
		return err
	}
	says := e.Message
	if field != "" {
		says = field + ": " + says
	}
	return wrong{err: bus.Errorf(code, "%s", says).WithHint("%s", e.Hint), field: field}
}

// fileData is a file in base64, as a data URL or bare. It is decoded where it stands, as an image.
type fileData struct {
	base64Image
	media string
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *fileData) UnmarshalJSON(b []byte) error {
	text, err := textIn(b)
	if err != nil {
		return err
	}
	if head, data, ok := bytes.Cut(text, []byte(";base64,")); ok && bytes.HasPrefix(head, []byte("data:")) {
		f.media, text = string(head[len("data:"):]), data
	}
	if f.image, f.err = decodeImage(text); f.err != nil {
		f.err = bus.Errorf(bus.CodeInvalid, "a file is not in base64")
	}
	return nil
}

// openAIFile is a file as OpenAI's interfaces spell it.
type openAIFile struct {
	Name string   `json:"filename"`
	Data fileData `json:"file_data"`
}

// readIn puts text in the place of files within a content.
func (c openAIParts) readIn(d *documents, in *openAIContent) error {
	for i, p := range in.parts {
		if p.Type != c.file {
			continue
		}
		file := p.openAIFile
		if p.File.Data.image != nil || p.File.Data.err != nil {
			file = p.File
		}
		switch {
		case file.Data.err != nil:
			return file.Data.err
		case len(file.Data.image) == 0:
			return bus.Errorf(bus.CodeInvalid, "a file: only those within the request can be read, as file_data")
		}
		text, err := d.text(document{file.Name, file.Data.media, file.Data.image})
		if err != nil {
			return err
		}
		in.parts[i] = openAIPart{Type: c.texts[0], Text: text}
	}
	return nil
}

// anthropicSource is where a block is from: its content, or for the result of a search its address.
type anthropicSource struct {
	Type      string          `json:"type"`
	MediaType string          `json:"media_type"`
	Data      base64Image     `json:"data"`
	Content   json.RawMessage `json:"content"`
	text      string          // of the type text, in place of Data
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *anthropicSource) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &s.text)
	}
	type plain anthropicSource
	if err := json.Unmarshal(b, (*plain)(s)); err != nil || s.Type != "text" {
		return err
	}
	var in struct {
		Data string `json:"data"`
	}
	err := json.Unmarshal(b, &in)
	s.Data, s.text = base64Image{}, in.Data
	return err
}

// readIn puts text in the place of documents whose text the swarm has to make.
func (p *anthropicPart) readIn(d *documents) error {
	s := &p.Source
	if p.Type != "document" || s.Type != "base64" || s.Data.image == nil {
		return nil
	}
	text, err := d.text(document{p.Title, s.MediaType, s.Data.image})
	*p = anthropicPart{Type: "text", Text: text}
	return err
}

// readIn is that of all blocks of a message.
func (m anthropicInput) readIn(d *documents) error {
	for i := range m.Content.blocks {
		b := &m.Content.blocks[i]
		if err := b.readIn(d); err != nil {
			return err
		}
		for j := range b.Content.blocks {
			if err := b.Content.blocks[j].readIn(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// textsIn are the texts of a content that is a text, or a list of blocks with one.
func textsIn(content json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text, nil
	}
	var blocks []struct{ Type, Text string }
	if err := json.Unmarshal(content, &blocks); err != nil {
		return "", errors.New("want a text, or a list of blocks")
	}
	var texts []string
	for _, b := range blocks {
		if b.Type != "text" {
			return "", fmt.Errorf("a block of the type %q: want text", b.Type)
		}
		texts = append(texts, b.Text)
	}
	return strings.Join(texts, "\n"), nil
}

// document is the text of a document, or of what a client has found.
func (p anthropicPart) document() (string, error) {
	text, address := p.Source.text, ""
	content := p.Source.Content
	switch {
	case p.Type == "search_result":
		address, content = p.Source.text, p.Page
		fallthrough
	case p.Source.Type == "content":
		var err error
		if text, err = textsIn(content); err != nil {
			return "", bus.Errorf(bus.CodeInvalid, "a %s: %w", p.Type, err)
		}
	case p.Source.Type == "base64" && p.Source.Data.err != nil:
		return "", bus.Errorf(bus.CodeInvalid, "a document is not in base64")
	case p.Source.Type != "text":
		return "", bus.Errorf(bus.CodeInvalid, "a document whose source is of the type %q: only documents within the request can be read: base64, text or content", p.Source.Type)
	}
	return documentText(p.Title, address+p.Context, text), nil
}

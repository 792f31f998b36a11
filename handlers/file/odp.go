package file

import (
	"context"
	"encoding/xml"

	"github.com/mycoswarm/mycoswarm/bus"
)

// odp are the slides of an ODP, as they are made (OpenDocument 1.3, part 3).
type odp struct {
	*odt
	deck    *deck
	hiding  hiding // styles of slides
	slide   *slide // nil outside
	wanted  bool
	ofNotes bool
	depth   int    // of elements within the shape; 0 outside
	class   string // what the shape is for
}

// readODP makes text of an ODP.
func readODP(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	var res bus.FileResult
	d, err := newDeck(req)
	if err != nil {
		return res, err
	}
	o := &odp{odt: &odt{body: &body{plain: d.plain, numbers: map[string]bool{}}}, deck: d}
	if err := readOpenDocument(ctx, req, "ODP", &res, o.readStyles, o.read); err != nil {
		return res, err
	}
	err = d.into(&res)
	return res, err
}

// read makes text of the content.
func (o *odp) read(x *xml.Decoder) error {
	return each(x, o.start, o.end, o.chars)
}

func (o *odp) start(e xml.StartElement) {
	name := e.Name.Local
	switch {
	case o.depth > 0:
		o.depth++
		o.odt.start(e)
	case name == "page":
		o.deck.number++
		o.slide, o.wanted, o.ofNotes = &slide{hidden: o.hiding.hidden[attr(e, "style-name")]}, o.deck.wants(o.deck.number), false
	case o.slide == nil:
		o.pageStyle(e)
		o.textStyle(e)
	case name == "notes":
		o.ofNotes = true
	default: // a shape, or a comment, which is skipped by what reads shapes
		o.depth, o.class = 1, attr(e, "class")
		o.body = &body{plain: o.plain, numbers: o.numbers}
		o.odt.start(e)
	}
}

// pageStyle takes in whether slides of a style are hidden.
func (o *odp) pageStyle(e xml.StartElement) {
	o.hiding.read(e, "drawing-page-properties", "visibility", "hidden")
}

func (o *odp) end(name string) {
	switch {
	case o.depth > 0:
		o.odt.end(name)
		if o.depth--; o.depth == 0 && o.wanted {
			o.slide.put(o.out.b.String(), o.class, o.ofNotes)
		}
	case o.slide == nil:
	case name == "notes":
		o.ofNotes = false
	case name == "page":
		if o.wanted {
			o.deck.add(o.deck.number, o.slide)
		}
		o.slide = nil
	}
}

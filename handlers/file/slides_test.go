package file_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

const (
	pptxType = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	odpType  = "application/vnd.oasis.opendocument.presentation"
	types    = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
)

// talk is what testdata/talk.fodp tells, made by LibreOffice in either format.
const talk = `[page 1]

# Slide 1: Bees in the garden

What a year costs

[page 2]

# Slide 2: What they need

- Water
   - in summer, daily
- Shade, see [here](https://example.org/shade)

1. Open the hive
1. Close it

Speaker notes:

Ask who has a pond.

[page 4]

# Slide 4 (hidden): Honey

| Year | Honey |
| --- | --- |
| 2025 | 17 kg |
`

func TestSlides(t *testing.T) {
	h := setup(t, file.Config{})
	for name, kind := range map[string]string{"talk.pptx": pptxType, "talk.odp": odpType} {
		got, err := read(t, h, bus.FileRequest{Name: "a.txt", Content: fixture(t, name)})
		if err != nil || got.Text != talk || got.Kind != kind || got.Title != "Bees in the garden" || got.Author != "Ada Müller" || got.Pages != 4 || len(got.PagesEmpty) != 1 || got.PagesEmpty[0] != 3 {
			t.Errorf("%s: got %+v, error %v", name, got, err)
		}
		got, err = read(t, h, bus.FileRequest{Content: fixture(t, name), Pages: "3-", Format: bus.FileText})
		if want := "[page 4]\n\nSlide 4 (hidden): Honey\n\nYear\tHoney\n2025\t17 kg\n"; err != nil || got.Text != want || got.Pages != 4 {
			t.Errorf("%s: from slide 3 on: %+v, error %v, want %q", name, got, err, want)
		}
		_, err = read(t, h, bus.FileRequest{Name: name, Content: fixture(t, name), Pages: "5"})
		refused(t, name, err, bus.CodeInvalid, "has no page among 5: its last one is 4")
		_, err = read(t, h, bus.FileRequest{Name: name, Content: fixture(t, name), Pages: "3"})
		refused(t, name, err, bus.CodeFailed, "holds no text")
	}
}

// pptx is a presentation of one slide with notes, of which the shapes are given.
func pptx(t testing.TB, shapes, notes string, other ...string) []byte {
	t.Helper()
	return archiveOf(t, append([]string{
		"ppt/presentation.xml", `<presentation><sldMasterIdLst><sldMasterId id="9" r:id="m"/></sldMasterIdLst><sldIdLst><sldId id="256" r:id="rId7"/></sldIdLst><extLst><ext><sectionLst><section name="Default"><sldIdLst><sldId id="256"/></sldIdLst></section></sectionLst></ext></extLst></presentation>`,
		"ppt/_rels/presentation.xml.rels", `<Relationships><Relationship Id="rId7" Type="` + types + `slide" Target="slides/slide4.xml"/></Relationships>`,
		"ppt/slides/_rels/slide4.xml.rels", `<Relationships><Relationship Id="rId1" Type="` + types + `notesSlide" Target="../notesSlides/n.xml"/>` +
			`<Relationship Id="rId2" Type="` + types + `hyperlink" Target="https://example.org/" TargetMode="External"/></Relationships>`,
		"ppt/slides/slide4.xml", `<sld><cSld><spTree>` + shapes + `</spTree></cSld></sld>`,
		"ppt/notesSlides/n.xml", `<notes><cSld><spTree>` + notes + `</spTree></cSld></notes>`,
	}, other...)...)
}

// shape is one of PowerPoint, which says of bullets nothing where the layout has them.
func shape(placeholder string, paras ...string) string {
	if placeholder != "" {
		placeholder = "<nvSpPr><nvPr><ph " + placeholder + "/></nvPr></nvSpPr>"
	}
	return "<sp>" + placeholder + "<txBody><p>" + strings.Join(paras, "</p><p>") + "</p></txBody></sp>"
}

func TestPPTX(t *testing.T) {
	h := setup(t, file.Config{})
	run := func(s string) string { return "<r><rPr/><t>" + s + "</t></r>" }
	for name, c := range map[string]struct{ shapes, notes, want string }{
		"the title last, and furniture": {
			shape(`type="sldNum" idx="4"`, "<fld><t>4</t></fld>") + shape(`type="ftr"`, run("Ltd.")) + shape("", run("box")) + shape(`type="ctrTitle"`, run("Bees "), run("fly")), "",
			"[page 1]\n\n# Slide 1: Bees fly\n\nbox\n",
		},
		"bullets of the layout": {
			shape(`idx="1"`, run("a"), `<pPr lvl="1"/>`+run("b"), run(""), `<pPr><buNone/></pPr>`+run("c"), `<pPr><buAutoNum/></pPr>`+run("d")), "",
			"[page 1]\n\n# Slide 1\n\n- a\n   - b\n\nc\n\n1. d\n",
		},
		"one sentence":        {shape(`type="body"`, run("a")+"<br/>"+run("b"), ""), "", "[page 1]\n\n# Slide 1\n\na\nb\n"},
		"a box with no list":  {shape("", run("a"), `<pPr><buChar char="x"/></pPr>`+run("b")), "", "[page 1]\n\n# Slide 1\n\na\n\n- b\n"},
		"a shape without":     {"<sp><nvPr><ph/></nvPr><txBody><lstStyle><lvl1pPr><buNone/></lvl1pPr></lstStyle><p>" + run("a") + "</p><p>" + run("b") + "</p></txBody></sp>", "", "[page 1]\n\n# Slide 1\n\na\n\nb\n"},
		"two lists":           {shape("", `<pPr><buChar/></pPr>`+run("a")) + shape("", `<pPr><buChar/></pPr>`+run("b")), "", "[page 1]\n\n# Slide 1\n\n- a\n\n- b\n"},
		"a link, and no link": {shape("", `<r><rPr><hlinkClick r:id="rId2"/></rPr><t>here</t></r><r><rPr><hlinkClick r:id="rId9"/></rPr><t> there</t></r>`), "", "[page 1]\n\n# Slide 1\n\n[here](https://example.org/) there\n"},
		"an exponent":         {shape("", run("10")+`<r><rPr baseline="30000"/><t>6</t></r><r><rPr baseline="30000"/><t>5</t></r>`+run("7")+`<r><rPr baseline="-25000"/><t>8</t></r>`), "", "[page 1]\n\n# Slide 1\n\n10^6578\n"},
		"a group":             {"<grpSp>" + shape("", run("a")) + shape("", run("b")) + "</grpSp>", "", "[page 1]\n\n# Slide 1\n\na\n\nb\n"},
		"a table with a merged cell": {
			`<graphicFrame><tbl><tr><tc gridSpan="2"><txBody><p>` + run("a") + `</p></txBody></tc><tc hMerge="1"><txBody><p/></txBody></tc></tr></tbl></graphicFrame>`, "",
			"[page 1]\n\n# Slide 1\n\n| a |  |\n| --- | --- |\n",
		},
		"for older versions too": {"<AlternateContent><Choice>" + shape("", run("new")) + "</Choice><Fallback>" + shape("", run("old")) + "</Fallback></AlternateContent>", "", "[page 1]\n\n# Slide 1\n\nnew\n"},
		"notes alone":            {"", shape(`type="sldImg"`) + shape(`type="body"`, run("a"), run("b")), "[page 1]\n\n# Slide 1\n\nSpeaker notes:\n\na\n\nb\n"},
		"a mark of a page":       {shape("", run("[page 7]")), shape(`type="body"`, run("[page 8]")), "[page 1]\n\n# Slide 1\n\n(page 7)\n\nSpeaker notes:\n\n(page 8)\n"},
	} {
		got, err := read(t, h, bus.FileRequest{Content: pptx(t, c.shapes, c.notes)})
		if err != nil || got.Text != c.want || got.Kind != pptxType {
			t.Errorf("%s: %q, %s, error %v, want %q", name, got.Text, got.Kind, err, c.want)
		}
	}
	// What Office calls strict has other types, and other names of parts are told.
	strict := archiveOf(t, "_rels/.rels", `<Relationships><Relationship Type="http://purl.oclc.org/ooxml/officeDocument/relationships/officeDocument" Target="ppt/main.xml"/></Relationships>`,
		"ppt/main.xml", `<presentation><sldIdLst><sldId id="256" r:id="a"/></sldIdLst></presentation>`,
		"ppt/_rels/main.xml.rels", `<Relationships><Relationship Id="a" Type="http://purl.oclc.org/ooxml/officeDocument/relationships/slide" Target="/ppt/s.xml"/></Relationships>`,
		"ppt/s.xml", "<sld>"+shape(`type="title"`, run("strict"))+"</sld>")
	if got, err := read(t, h, bus.FileRequest{Content: strict}); err != nil || got.Text != "[page 1]\n\n# Slide 1: strict\n" {
		t.Errorf("strict: %+v, error %v", got, err)
	}
}

// odp is a presentation of that content.
func odp(t testing.TB, content string, other ...string) []byte {
	t.Helper()
	return archiveOf(t, append([]string{"mimetype", odpType, "content.xml", "<document-content>" + content + "</document-content>"}, other...)...)
}

func TestODP(t *testing.T) {
	h := setup(t, file.Config{})
	for name, c := range map[string]struct{ content, want string }{
		"comments, furniture and titles": {
			`<footer-decl>no</footer-decl><page><annotation><p>a comment</p></annotation><frame class="footer"><p>no</p></frame><frame class="title"><text-box><p>a</p></text-box></frame><frame class="title"><p>b</p></frame></page>`,
			"[page 1]\n\n# Slide 1: a\n\nb\n",
		},
		"a group": {`<page><g><custom-shape><p>a</p></custom-shape><g><custom-shape><p>b</p></custom-shape></g></g></page>`, "[page 1]\n\n# Slide 1\n\na\n\nb\n"},
		"notes":   {`<page><notes><frame class="notes"><p>a</p></frame></notes><frame><p>b</p></frame></page><page><frame><p>c</p></frame></page>`, "[page 1]\n\n# Slide 1\n\nb\n\nSpeaker notes:\n\na\n\n[page 2]\n\n# Slide 2\n\nc\n"},
	} {
		got, err := read(t, h, bus.FileRequest{Content: odp(t, c.content)})
		if err != nil || got.Text != c.want || got.Kind != odpType {
			t.Errorf("%s: %q, %s, error %v, want %q", name, got.Text, got.Kind, err, c.want)
		}
	}
}

func TestSlidesNotRead(t *testing.T) {
	h := setup(t, file.Config{})
	whole := fixture(t, "talk.pptx")
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"cut off":       {whole[:len(whole)/2], "is broken, or no PPTX"},
		"no slides":     {archiveOf(t, "ppt/presentation.xml", "<presentation/>"), "holds no text"},
		"nothing":       {pptx(t, "", ""), "holds no text"},
		"a lost slide":  {archiveOf(t, "ppt/presentation.xml", `<presentation><sldId r:id="a"/></presentation>`), "is broken, or no PPTX"},
		"broken":        {pptx(t, "<sp>", ""), "is broken, or no PPTX"},
		"deep":          {pptx(t, strings.Repeat("<sp>", 2000)+strings.Repeat("</sp>", 2000), ""), "nested too deep"},
		"a locked ODP":  {odp(t, "\x00", "META-INF/manifest.xml", `<manifest><file-entry><encryption-data/></file-entry></manifest>`), "has a password"},
		"a broken ODP":  {odp(t, "<page>"), "is broken, or no ODP"},
		"an ODP of air": {odp(t, "<page/>"), "holds no text"},
	} {
		_, err := read(t, h, bus.FileRequest{Name: "a", Content: c.content})
		refused(t, name, err, bus.CodeFailed, c.says)
	}
	// A slide of very many shapes takes no longer than one of as much text.
	if got, err := read(t, h, bus.FileRequest{Content: pptx(t, strings.Repeat(shape("", "<t>a</t>"), 30_000), "")}); err != nil || got.Words != 30_005 {
		t.Errorf("many shapes: %d words, error %v", got.Words, err)
	}
}

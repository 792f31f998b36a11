package file_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

func TestDOCX(t *testing.T) {
	h := setup(t, file.Config{})
	for format, name := range map[string]string{bus.FileMarkdown: "report.md", bus.FileText: "report.txt"} {
		got, err := read(t, h, bus.FileRequest{Name: "report.docx", Content: fixture(t, "report.docx"), Format: format})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(fixture(t, name)), got.Text); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
		if got.Title != "Bees in the garden" || got.Author != "Ada Müller" || got.Format != format {
			t.Errorf("got %+v", got)
		}
	}
}

// A document in which changes are tracked says what it says once they are taken.
func TestDOCXTracksChanges(t *testing.T) {
	h := setup(t, file.Config{})
	got, err := read(t, h, bus.FileRequest{Content: packed(t, `<document><p><moveFrom><r><t>moved</t></r></moveFrom></p>`+
		`<p><r><t>kept, </t></r><del><r><delText>old</delText></r></del><ins><r><t>new</t></r></ins></p><p><moveTo><r><t>moved</t></r></moveTo></p></document>`)})
	if want := "kept, new\n\nmoved\n"; err != nil || got.Text != want {
		t.Errorf("got %q, error %v, want %q", got.Text, err, want)
	}
}

// A hyphen at which no line ends is a part of its word: A-100 is not A100.
func TestDOCXHyphens(t *testing.T) {
	h := setup(t, file.Config{})
	got, err := read(t, h, bus.FileRequest{Content: packed(t, `<document><p><r><t>A</t><noBreakHyphen/><t>100, Donau</t><softHyphen/><t>dampfer</t></r></p></document>`)})
	if want := "A-100, Donaudampfer\n"; err != nil || got.Text != want {
		t.Errorf("got %q, error %v, want %q", got.Text, err, want)
	}
}

// Footnotes and endnotes come behind the text, by their marks.
func TestDOCXNotes(t *testing.T) {
	h := setup(t, file.Config{})
	content := archiveOf(t, "word/document.xml", `<document><p><r><t>Bees dance</t><endnoteReference id="1"/><t> and sing</t><footnoteReference id="1"/></r>`+
		`<del><r><footnoteReference id="2"/></r></del><r><t>.</t></r></p><p><pPr><numPr><numId val="1"/></numPr></pPr><r><t>item</t></r></p></document>`,
		"word/footnotes.xml", `<footnotes><footnote type="separator" id="-1"><p><r><separator/></r></p></footnote><footnote id="1"><p><r><footnoteRef/><t> So says</t></r></p><p><r><t>Ada.</t></r></p></footnote>`+
			`<footnote id="2"><p><r><t>gone</t></r></p></footnote></footnotes>`,
		"word/endnotes.xml", `<endnotes><endnote id="1"><p><r><t>Frisch 1923.</t></r></p></endnote></endnotes>`)
	for format, want := range map[string]string{
		bus.FileMarkdown: "Bees dance[^1] and sing[^2].\n\n- item\n\n[^1]: Frisch 1923.\n[^2]: So says Ada.\n",
		bus.FileText:     "Bees dance[1] and sing[2].\n\n- item\n\n[1] Frisch 1923.\n[2] So says Ada.\n",
	} {
		got, err := read(t, h, bus.FileRequest{Content: content, Format: format})
		if err != nil || got.Text != want {
			t.Errorf("%s: got %q, error %v, want %q", format, got.Text, err, want)
		}
	}
}

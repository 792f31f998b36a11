package file_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

func TestDOCX(t *testing.T) {
	h := setup(t, file.Config{})
	for _, document := range []string{"report.docx", "report.odt"} {
		for format, name := range map[string]string{bus.FileMarkdown: "report.md", bus.FileText: "report.txt"} {
			got, err := read(t, h, bus.FileRequest{Name: document, Content: fixture(t, document), Format: format})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(fixture(t, name)), got.Text); diff != "" {
				t.Errorf("%s as %s: -want +got\n%s", document, name, diff)
			}
			if got.Title != "Bees in the garden" || got.Author != "Ada Müller" || got.Format != format {
				t.Errorf("%s: got %+v", document, got)
			}
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

// What stands below two columns that are merged in a row above stays in its own, as in an ODT.
func TestDOCXMergedCells(t *testing.T) {
	h := setup(t, file.Config{})
	row := func(cells ...string) (out string) {
		for _, c := range cells {
			properties, text, _ := strings.Cut(c, "|")
			out += "<tc><tcPr>" + properties + "</tcPr><p><r><t>" + text + "</t></r></p></tc>"
		}
		return "<tr>" + out + "</tr>"
	}
	table := "<tbl>" + row("|", `<gridSpan val="2"/>|2025`, "|2026") + row("|hives", "|spring", "|autumn", "|spring") +
		strings.Replace(row("|40", "|50"), "<tr>", `<tr><trPr><gridBefore val="2"/></trPr>`, 1) + row(`<gridSpan val="2000000000"/>|end`) + "</tbl>"
	got, err := read(t, h, bus.FileRequest{Content: packed(t, "<document>"+table+"</document>")})
	want := "|  | 2025 |  | 2026 |\n| --- | --- | --- | --- |\n| hives | spring | autumn | spring |\n|  |  | 40 | 50 |\n| end |"
	if err != nil || !strings.HasPrefix(got.Text, want) || len(got.Text) > 10_000 {
		t.Errorf("error %v, got %.500q\nwant %q", err, got.Text, want)
	}
}

// A million is no hundred and six.
func TestDOCXExponents(t *testing.T) {
	h := setup(t, file.Config{})
	got, err := read(t, h, bus.FileRequest{Content: packed(t, `<document><p><r><t>10</t></r><r><rPr><vertAlign val="superscript"/></rPr><t>6</t></r><r><t> bees on the 1</t></r>`+
		`<r><rPr><vertAlign val="superscript"/></rPr><t>st</t></r><r><t> of May, H</t></r><r><rPr><vertAlign val="subscript"/></rPr><t>2</t></r><r><t>O, 4 m</t></r><r><rPr><position val="8"/></rPr><t>2</t></r></p>`+
		`<p><r><t>10</t></r><r><rPr><position val="8"/></rPr><t>1</t></r><r><rPr><position val="8"/></rPr><t>,</t></r><r><rPr><position val="8"/></rPr><t>2</t></r><r><tab/></r><r><rPr><position val="8"/></rPr><t>3</t></r></p>`+
		`<p><r><t>10</t></r><r><rPr><position val="8"/></rPr><t>−</t></r><r><rPr><position val="8"/></rPr><t>6</t></r><r><t> m, Na</t></r><r><rPr><position val="8"/></rPr><t>+</t></r><r><t>9, x</t></r>`+
		`<r><rPr><position val="8"/></rPr><t>-</t></r><r><rPr><position val="8"/></rPr><t>a</t></r><r><rPr><position val="8"/></rPr><t>1</t></r></p></document>`)})
	if want := "10^6 bees on the 1st of May, H2O, 4 m^2\n\n10^1,2\t^3\n\n10^−6 m, Na+9, x-a^1\n"; err != nil || got.Text != want {
		t.Errorf("got %q, error %v, want %q", got.Text, err, want)
	}
}

// A raised sign before a link, or at its end, is none of the exponent on the other side: what is written between them is left whole.
func TestDOCXSignsBesideLinks(t *testing.T) {
	h := setup(t, file.Config{})
	raised := func(s string) string { return `<r><rPr><vertAlign val="superscript"/></rPr><t>` + s + `</t></r>` }
	link := func(s string) string { return `<hyperlink id="r">` + s + `</hyperlink>` }
	content := archiveOf(t, "word/_rels/document.xml.rels", `<Relationships><Relationship Id="r" Type="http://x/hyperlink" Target="https://example.org" TargetMode="External"/></Relationships>`,
		"word/document.xml", `<document><p><r><t>10</t></r>`+raised("−")+link(raised("6"))+`</p><p><r><t>10</t></r>`+link(raised("−"))+raised("6")+`</p>`+
			`<p><r><t>10</t></r>`+link(raised("−")+raised("6"))+`</p></document>`)
	for format, want := range map[string]string{
		bus.FileMarkdown: "10−[^6](https://example.org)\n\n10[−](https://example.org)^6\n\n10[^−6](https://example.org)\n",
		bus.FileText:     "10^−6 (https://example.org)\n\n10− (https://example.org)^6\n\n10^−6 (https://example.org)\n",
	} {
		got, err := read(t, h, bus.FileRequest{Content: content, Format: format})
		if err != nil || got.Text != want {
			t.Errorf("%s: got %q, error %v, want %q", format, got.Text, err, want)
		}
	}
}

// The mark of a paragraph has properties, too, and so has what was before a change: of neither is the text.
func TestDOCXPropertiesOfOthers(t *testing.T) {
	h := setup(t, file.Config{})
	raised := `<rPr><vertAlign val="superscript"/></rPr>`
	got, err := read(t, h, bus.FileRequest{Content: archiveOf(t, "word/styles.xml", `<styles><style styleId="H"><name val="heading 1"/></style></styles>`,
		"word/document.xml", `<document><p><pPr>`+raised+`</pPr><r><t>5</t></r></p><p><r><rPr><rPrChange>`+raised+`</rPrChange></rPr><t>6</t></r></p>`+
			`<p><pPr><pPrChange><pPr><pStyle val="H"/></pPr></pPrChange></pPr><r><t>7</t></r></p>`+
			`<tbl><tr><tc><tcPr><tcPrChange><tcPr><gridSpan val="2"/></tcPr></tcPrChange></tcPr><p><r><t>8</t></r></p></tc></tr></tbl></document>`)})
	if want := "5\n\n6\n\n7\n\n| 8 |\n| --- |\n"; err != nil || got.Text != want {
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

// Word on the web calls the parts otherwise; the archive says how.
func TestDOCXWithOtherNames(t *testing.T) {
	h := setup(t, file.Config{})
	got, err := read(t, h, bus.FileRequest{Name: "report.docx", Content: archiveOf(t,
		"[Content_Types].xml", `<Types/>`,
		"_rels/.rels", `<Relationships><Relationship Id="rId1" Type="`+types+`officeDocument" Target="/word/document2.xml"/></Relationships>`,
		"word/_rels/document2.xml.rels", `<Relationships><Relationship Id="rId1" Type="`+types+`styles" Target="styles2.xml"/>`+
			`<Relationship Id="rId2" Type="`+types+`footnotes" Target="/word/footnotes2.xml"/>`+
			`<Relationship Id="rId3" Type="`+types+`hyperlink" Target="https://example.org" TargetMode="External"/></Relationships>`,
		"word/styles2.xml", `<styles><style styleId="T1"><name val="heading 2"/></style></styles>`,
		"word/footnotes2.xml", `<footnotes><footnote id="1"><p><r><t>Or so.</t></r></p></footnote></footnotes>`,
		"word/document2.xml", `<document><p><pPr><pStyle val="T1"/></pPr><r><t>Bees</t></r></p>`+
			`<p><r><t>Forty</t><footnoteReference id="1"/></r><hyperlink id="rId3"><r><t> hives</t></r></hyperlink></p></document>`,
	)})
	if want := "## Bees\n\nForty[^1][ hives](https://example.org)\n\n[^1]: Or so.\n"; err != nil || got.Text != want || got.Kind != "application/vnd.openxmlformats-officedocument.wordprocessingml.document" {
		t.Errorf("got %q, %s, error %v, want %q", got.Text, got.Kind, err, want)
	}
}

// A style may tell of a list, or of a heading, whatever it is called; a paragraph may be none of the list all the same.
func TestDOCXStylesOfListsAndHeadings(t *testing.T) {
	h := setup(t, file.Config{})
	styled := func(style, more, text string) string {
		return `<p><pPr><pStyle val="` + style + `"/>` + more + `</pPr><r><t>` + text + `</t></r></p>`
	}
	got, err := read(t, h, bus.FileRequest{Content: archiveOf(t,
		"word/styles.xml", `<styles><docDefaults><pPrDefault><pPr/></pPrDefault></docDefaults>`+
			`<style styleId="Chapter"><name val="Our chapter"/><pPr><outlineLvl val="1"/></pPr></style>`+
			`<style styleId="Section"><name val="Our section"/><basedOn val="Chapter"/><pPr><outlineLvl val="2"/></pPr></style>`+
			`<style styleId="Own"><name val="Without a number"/><basedOn val="Chapter"/></style>`+
			`<style styleId="TOCHeading"><name val="TOC Heading"/><basedOn val="Chapter"/><pPr><outlineLvl val="9"/></pPr></style>`+
			`<style styleId="Heading7"><name val="heading 7"/><pPr><outlineLvl val="6"/></pPr></style>`+
			`<style styleId="ListBullet"><name val="List Bullet"/><pPr><numPr><numId val="3"/></numPr></pPr></style>`+
			`<style styleId="ListNumber2"><name val="List Number 2"/><pPr><numPr><ilvl val="1"/><numId val="4"/></numPr></pPr></style>`+
			`<style styleId="Normal"><name val="Normal"/><pPr><outlineLvl val="9"/></pPr></style></styles>`,
		"word/numbering.xml", `<numbering><abstractNum abstractNumId="0"><lvl ilvl="1"><numFmt val="decimal"/></lvl></abstractNum>`+
			`<num numId="4"><abstractNumId val="0"/></num></numbering>`,
		"word/document.xml", `<document>`+styled("Chapter", "", "Bees")+styled("Section", "", "Queens")+styled("Own", "", "Honey")+styled("ListBullet", "", "hive")+styled("ListNumber2", "", "frame")+
			styled("ListBullet", `<numPr><numId val="0"/></numPr>`, "no item")+styled("TOCHeading", "", "Contents")+styled("Heading7", "", "deep")+styled("Normal", "", "end")+`</document>`)})
	if want := "## Bees\n\n### Queens\n\n## Honey\n\n- hive\n   1. frame\n\nno item\n\nContents\n\n###### deep\n\nend\n"; err != nil || got.Text != want {
		t.Errorf("got %q, error %v, want %q", got.Text, err, want)
	}
}

// What a document says of itself may be damaged, and what it says is read.
func TestDOCXWithDamagedProperties(t *testing.T) {
	h := setup(t, file.Config{})
	got, err := read(t, h, bus.FileRequest{Content: archiveOf(t,
		"docProps/core.xml", `<coreProperties><creator>Ada</creator><title>Bees & hives</title></coreProperties>`,
		"word/document.xml", `<document><p><r><t>Forty</t></r></p></document>`)})
	if err != nil || got.Text != "Forty\n" || got.Author != "Ada" {
		t.Errorf("got %+v, error %v", got, err)
	}
}

// Whatever an archive says, the part that is the document is within it.
func TestDOCXWithoutItsDocument(t *testing.T) {
	h := setup(t, file.Config{})
	for _, target := range []string{"word/../../etc/passwd", "word/none.xml", "ppt/presentation.xml", "word/", ""} {
		_, err := read(t, h, bus.FileRequest{Name: "report.docx", Content: archiveOf(t, "ppt/presentation.xml", `<p/>`,
			"_rels/.rels", `<Relationships><Relationship Type="http://x/officeDocument" Target="`+target+`"/></Relationships>`)})
		if err == nil {
			t.Errorf("%q is read", target)
		}
	}
}

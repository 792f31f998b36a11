package file_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

const odtType = "application/vnd.oasis.opendocument.text"

// odt is a document of that content; other files are each its name and what is in it.
func odt(t testing.TB, content string, other ...string) []byte {
	t.Helper()
	return archiveOf(t, append([]string{"mimetype", odtType, "content.xml", "<document-content>" + content + "</document-content>"}, other...)...)
}

func TestODT(t *testing.T) {
	h := setup(t, file.Config{})
	styles := `<automatic-styles><list-style name="L1"><list-level-style-bullet level="1"/><list-level-style-number level="2"/></list-style></automatic-styles>`
	for name, c := range map[string]struct{ content, want string }{
		"blanks":          {`<p>a <s c="3"/>b<tab/>c<line-break/>d` + "\n  e</p>", "a    b\tc\nd   e\n"},
		"what is deleted": {`<tracked-changes><p>gone</p></tracked-changes><p>kept<annotation><p>a comment</p></annotation></p>`, "kept\n"},
		"lists": {
			styles + `<list style-name="L1"><list-item><p>one</p><list><list-item><p>first</p></list-item></list></list-item><list-item><p>two</p><p>more of it</p></list-item></list><p>after</p>`,
			"- one\n   1. first\n- two\n\nmore of it\n\nafter\n",
		},
		"notes": {
			`<p>Bees<note><note-citation>i</note-citation><note-body><p>Insects,</p><p>small.</p></note-body></note> fly<note><note-body><p>Far.</p></note-body></note>.</p>`,
			"Bees[^1] fly[^2].\n\n[^1]: Insects, small.\n[^2]: Far.\n",
		},
		"a merged cell": {`<table><table-row><table-cell><p>a</p></table-cell><covered-table-cell/></table-row></table>`, "| a |  |\n| --- | --- |\n"},
		"an exponent": {
			`<automatic-styles><style name="T1"><text-properties text-position="super 58%"/></style><style name="T2"><text-properties text-position="-8% 58%"/></style>` +
				`<style name="T3"><text-properties text-position="33% 80%"/></style></automatic-styles>` +
				`<p>10<span style-name="T1">6<span style-name="T2">7</span></span> bees, H<span style-name="T2">2</span>O, 4 m<span style-name="T3">2</span>, 10<span style-name="T1">1</span><span style-name="T3">2</span></p>`,
			"10^67 bees, H2O, 4 m^2, 10^12\n",
		},
		"a bare heading": {`<h>Bees</h><h outline-level="3">Far</h>`, "# Bees\n\n### Far\n"},
	} {
		got, err := read(t, h, bus.FileRequest{Content: odt(t, c.content)})
		if err != nil || got.Text != c.want || got.Kind != odtType {
			t.Errorf("%s: %q, %s, error %v, want %q", name, got.Text, got.Kind, err, c.want)
		}
	}
	got, err := read(t, h, bus.FileRequest{Content: odt(t, `<p>a</p>`, "meta.xml", `<meta><creator>Bob</creator><initial-creator>Ada</initial-creator></meta>`)})
	if err != nil || got.Author != "Ada" {
		t.Errorf("begun by Ada: %+v, error %v", got, err)
	}
}

func TestODTNotRead(t *testing.T) {
	h := setup(t, file.Config{})
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"a password":  {odt(t, "\x00", "META-INF/manifest.xml", `<manifest><file-entry full-path="content.xml"><encryption-data/></file-entry></manifest>`), "has a password"},
		"no content":  {archiveOf(t, "mimetype", odtType, "meta.xml", "<meta/>"), "is broken, or no ODT"},
		"broken":      {odt(t, "<p>"), "is broken, or no ODT"},
		"nothing":     {odt(t, "<p/>"), "holds no text"},
		"a deep note": {odt(t, strings.Repeat("<note>", 2000)+strings.Repeat("</note>", 2000)), "nested too deep"},
	} {
		_, err := read(t, h, bus.FileRequest{Name: "a.odt", Content: c.content})
		refused(t, name, err, bus.CodeFailed, c.says)
	}
}

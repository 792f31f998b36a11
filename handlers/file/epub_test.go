package file_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

const epubType = "application/epub+zip"

// epub is a book of two chapters; other files are each its name and what is in it, and come first.
func epub(t testing.TB, other ...string) []byte {
	t.Helper()
	return archiveOf(t, append(append([]string{"mimetype", epubType}, other...),
		"META-INF/container.xml", `<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>`,
		"OEBPS/book.opf", `<package><metadata><title>Bees</title><title>Of hives</title><creator>Ada</creator><creator>Bob</creator></metadata>`+
			`<manifest><item id="b" href="text/two.xhtml"/><item id="a" href="text/chapter%20one.xhtml"/><item id="c" href="style.css"/></manifest>`+
			`<spine><itemref idref="a"/><itemref idref="b"/></spine></package>`,
		"OEBPS/text/chapter one.xhtml", `<html><head><title>no part of it</title></head><body><h1>One</h1><p>Short.</p></body></html>`,
		"OEBPS/text/two.xhtml", `<html><body><h1>Two</h1><ul><li>water</li></ul></body></html>`)...)
}

func TestEPUB(t *testing.T) {
	h := setup(t, file.Config{})
	got, err := read(t, h, bus.FileRequest{Content: epub(t)})
	if want := "# One\n\nShort.\n\n# Two\n\n- water\n"; err != nil || got.Text != want || got.Title != "Bees: Of hives" || got.Author != "Ada, Bob" || got.Kind != epubType {
		t.Errorf("got %+v, error %v, want %q", got, err, want)
	}
	got, err = read(t, h, bus.FileRequest{Content: epub(t), Format: bus.FileText})
	if err != nil || strings.Contains(got.Text, "#") || !strings.Contains(got.Text, "Short.") {
		t.Errorf("as text: %q, error %v", got.Text, err)
	}
	// Some tools do not put the type at the beginning.
	loose := archiveOf(t, "META-INF/container.xml", `<rootfile full-path="o"/>`, "o", `<package><manifest><item id="a" href="a.html"/></manifest><spine><itemref idref="a"/></spine></package>`, "a.html", "<p>Bees")
	if got, err = read(t, h, bus.FileRequest{Content: loose}); err != nil || got.Text != "Bees\n" || got.Kind != epubType {
		t.Errorf("of a loose tool: %+v, error %v", got, err)
	}
	got, err = read(t, h, bus.FileRequest{Content: fixture(t, "report.epub")}) // of LibreOffice, which makes paragraphs of all
	if err != nil || !strings.Contains(got.Text, "marzipan") || !strings.Contains(got.Text, "| 2025 | 17 kg |") || got.Title != "Bees in the garden" || got.Author != "Ada Müller" {
		t.Errorf("of LibreOffice: %+v, error %v", got, err)
	}
}

// Older books tell of themselves in another charset, and with the entities of HTML; some programs say UTF-16 of all that they write.
func TestEPUBInAnotherCharset(t *testing.T) {
	h := setup(t, file.Config{})
	for charset, title := range map[string]string{"ISO-8859-1": "B\xfccher &eacute;", "windows-1252": "B\xfccher &eacute;", "utf-8": "Bücher é", "utf-16": "Bücher é"} {
		got, err := read(t, h, bus.FileRequest{Content: archiveOf(t, "mimetype", epubType, "META-INF/container.xml", `<rootfile full-path="o"/>`,
			"o", `<?xml version="1.0" encoding="`+charset+`"?><package><metadata><title>`+title+`</title></metadata><manifest><item id="a" href="a.html"/></manifest><spine><itemref idref="a"/></spine></package>`,
			"a.html", "<p>Bees")})
		if err != nil || got.Title != "Bücher é" || got.Text != "Bees\n" {
			t.Errorf("%s: %+v, error %v", charset, got, err)
		}
	}
}

func TestEPUBNotRead(t *testing.T) {
	h := setup(t, file.Config{})
	locks := func(name string) string {
		return `<encryption><EncryptedData><CipherData><CipherReference URI="` + name + `"/></CipherData></EncryptedData></encryption>`
	}
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"a protection": {epub(t, "META-INF/encryption.xml", locks("OEBPS/text/chapter%20one.xhtml")), "has a protection against copying"},
		"no container": {archiveOf(t, "mimetype", epubType, "a", "b"), "is broken, or no EPUB"},
		"elsewhere":    {archiveOf(t, "mimetype", epubType, "META-INF/container.xml", `<rootfile full-path="../../etc/passwd"/>`), "is broken, or no EPUB"},
		"a chapter that is not there": {archiveOf(t, "mimetype", epubType, "META-INF/container.xml", `<rootfile full-path="o"/>`,
			"o", `<package><manifest><item id="a" href="a.html"/></manifest><spine><itemref idref="a"/></spine></package>`), "is broken, or no EPUB"},
		"nothing": {archiveOf(t, "mimetype", epubType, "META-INF/container.xml", `<rootfile full-path="o"/>`, "o", `<package/>`), "holds no text"},
	} {
		_, err := read(t, h, bus.FileRequest{Name: "a.epub", Content: c.content})
		refused(t, name, err, bus.CodeFailed, c.says)
	}
	if _, err := read(t, h, bus.FileRequest{Content: epub(t, "META-INF/encryption.xml", locks("OEBPS/font.ttf"))}); err != nil {
		t.Errorf("with fonts that are encrypted: %v", err)
	}
}

package file_test

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

func setup(t *testing.T, c file.Config) *file.Handler {
	t.Helper()
	if c.Cache == "" {
		c.Cache = cache
	}
	h := file.New(c)
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func read(t *testing.T, h *file.Handler, req bus.FileRequest) (bus.FileResult, error) {
	t.Helper()
	task, err := bus.NewTask(bus.TypeFile, req)
	if err != nil {
		t.Fatal(err)
	}
	res, err := h.Handle(t.Context(), &task, func(any) error { return nil })
	if err != nil {
		return bus.FileResult{}, err
	}
	return res.(bus.FileResult), nil
}

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPDF(t *testing.T) {
	h := setup(t, file.Config{})
	// The name says nothing about a PDF: the content does.
	got, err := read(t, h, bus.FileRequest{Name: "report.txt", Content: fixture(t, "report.pdf")})
	if err != nil {
		t.Fatal(err)
	}
	if got.Kind != "application/pdf" || got.Pages != 3 || got.Title != "Bees in the garden" || got.Author != "Ada Müller" || got.Truncated || got.Words < 60 {
		t.Errorf("got %+v", got)
	}
	at := -1
	for _, want := range []string{"[page 1]", "Two hives stand behind the shed.", "[page 2]", "17 kg", "[page 3]", "marzipan"} {
		next := strings.Index(got.Text, want)
		if next <= at {
			t.Errorf("%q is not there, or not in order:\n%s", want, got.Text)
		}
		at = next
	}
	// Nor does what was put before it, as by a printer's spooler.
	got, err = read(t, h, bus.FileRequest{Content: append([]byte("\x1b%-12345X@PJL\n"), fixture(t, "report.pdf")...)})
	if err != nil || got.Pages != 3 {
		t.Errorf("behind a line of something else: %+v, error %v", got, err)
	}
	got, err = read(t, h, bus.FileRequest{Content: fixture(t, "report.pdf"), Pages: "3-"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[page 3]\n\nThe secret word of page three is marzipan.\n"; got.Text != want || got.Pages != 3 {
		t.Errorf("page 3 is %q, want %q", got.Text, want)
	}
}

// A line of a page is not taken for the beginning of another one.
func TestPDFWithMarksOfPages(t *testing.T) {
	h := setup(t, file.Config{})
	const text = "BT /F 12 Tf 9 90 Td (before) Tj 0 -20 Td ([page 7]) Tj 0 -20 Td (after) Tj ET"
	got, err := read(t, h, bus.FileRequest{Content: objects("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
		fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(text), text), "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")})
	if want := "[page 1]\n\nbefore\n(page 7)\nafter\n"; err != nil || got.Text != want {
		t.Errorf("got %q, error %v, want %q", got.Text, err, want)
	}
}

// Another process reads as this one does, and what a document does to it, it does to that alone.
func TestReaderOfItsOwn(t *testing.T) {
	here, own := setup(t, file.Config{}), file.Config{Reader: []string{os.Args[0], readDocument}}
	for _, name := range []string{"report.pdf", "report.docx"} {
		req := bus.FileRequest{Name: name, Content: fixture(t, name)}
		want, err := read(t, here, req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(t, setup(t, own), req)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: another process reads otherwise, error %v: %s", name, err, d)
		}
	}
	_, err := read(t, setup(t, own), bus.FileRequest{Name: "x.png", Content: []byte("\x89PNG\r\n\x1a\n")})
	if e := bus.AsError(err); e == nil || e.Code != bus.CodeInvalid || !strings.Contains(e.Message, "image/png") {
		t.Errorf("a picture: %v", err)
	}
	for says, change := range map[string]func(*file.Config){
		"it takes more than 8 MiB of memory": func(c *file.Config) { c.ReadMemory = 8 << 20 },
		"its reader ended: exit status ":     func(c *file.Config) { c.Reader = []string{os.Args[0], "-no-such-flag"} },
	} {
		c := own
		change(&c)
		_, err := read(t, setup(t, c), bus.FileRequest{Name: "report.pdf", Content: fixture(t, "report.pdf")})
		if e := bus.AsError(err); e == nil || e.Code != bus.CodeFailed || bus.IsRetry(err) || !strings.Contains(e.Message, says) {
			t.Errorf("error %v, want %q", err, says)
		}
	}
	// That it is this machine's fault is told as it is: PDFium cannot start in so little.
	c := own
	c.Memory = 64 << 10
	_, err = read(t, setup(t, c), bus.FileRequest{Name: "report.pdf", Content: fixture(t, "report.pdf")})
	if e := bus.AsError(err); e == nil || e.Code != bus.CodeUnavailable || !bus.IsRetry(err) {
		t.Errorf("without room for PDFium: %v", err)
	}
}

func TestPlainText(t *testing.T) {
	h := setup(t, file.Config{})
	for name, c := range map[string]struct {
		content, want, charset, media string
	}{
		"utf-8.txt":   {"Grüße\r\n\r\nzwei", "Grüße\n\nzwei\n", "utf-8", ""},
		"bom.txt":     {"\ufeffGrüße", "Grüße\n", "utf-8", ""},
		"latin.txt":   {"Gr\xfc\xdfe aus K\xf6ln", "Grüße aus Köln\n", "windows-1252", ""},
		"greek.txt":   {"\xea\xe1\xeb\xe7\xec\xdd\xf1\xe1", "καλημέρα\n", "iso-8859-7", "text/plain; charset=iso-8859-7"},
		"utf-16.txt":  {"\xff\xfeG\x00r\x00\xfc\x00\xdf\x00e\x00", "Grüße\n", "utf-16le", ""},
		"README.md":   {"<h1 align=center>Bees</h1>\n\n- one", "<h1 align=center>Bees</h1>\n\n- one\n", "utf-8", ""},
		"table.csv":   {"a,b\n1,2\n", "a,b\n1,2\n", "utf-8", ""},
		"data.json":   {`{"a": [1]}`, `{"a": [1]}` + "\n", "utf-8", ""},
		"main.go":     {"package main\n\nfunc main() {}\n", "package main\n\nfunc main() {}\n", "utf-8", ""},
		"drawing.svg": {`<svg xmlns="http://www.w3.org/2000/svg"/>`, `<svg xmlns="http://www.w3.org/2000/svg"/>` + "\n", "utf-8", ""},
		// One letter of another charset, or a half one at the end, does not spoil the others.
		"mixed.log": {strings.Repeat("a", 2000) + "Grüße, \xfc, ä\xc3", strings.Repeat("a", 2000) + "Grüße, \ufffd, ä\ufffd\n", "utf-8", ""},
		// A text that tells of PDFs is none.
		"magic.md": {"Its first line is %PDF-1.7.", "Its first line is %PDF-1.7.\n", "utf-8", ""},
		// What a terminal would obey is left out.
		"escape.txt": {"a\x1b]0;owned\x07b\u009b2Jc", "a]0;ownedb2Jc\n", "utf-8", ""},
	} {
		got, err := read(t, h, bus.FileRequest{Name: name, MediaType: c.media, Content: []byte(c.content)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got.Text != c.want || got.Charset != c.charset {
			t.Errorf("%s: got %q in %s, want %q in %s", name, got.Text, got.Charset, c.want, c.charset)
		}
	}
	// Two paragraphs with as many commas are no table, unless they are called one.
	for name, want := range map[string]string{"letter.txt": "text/plain", "letter.csv": "text/csv"} {
		got, err := read(t, h, bus.FileRequest{Name: name, Content: []byte("Dear Anna, the bees are well.\nYours, Bert\n")})
		if err != nil || got.Kind != want {
			t.Errorf("%s: %q, %v, want %s", name, got.Kind, err, want)
		}
	}
	got, err := read(t, h, bus.FileRequest{Content: []byte(strings.Repeat("ä", bus.MaxFileText/2+5))})
	if err != nil || !got.Truncated || len(got.Text) != bus.MaxFileText {
		t.Errorf("a text over the limit: %d bytes, truncated %v, %v", len(got.Text), got.Truncated, err)
	}
}

// Whatever cannot be read ends with one clear error, which no other node tries again.
func TestWhatIsNotRead(t *testing.T) {
	h := setup(t, file.Config{})
	pdf, docx := fixture(t, "report.pdf"), fixture(t, "report.docx")
	// What Office encrypts is in a file of another kind: [MS-OFFCRYPTO], 2.3.4.
	locked := append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 1200)...)
	copy(locked[1100:], "E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")
	for name, c := range map[string]struct {
		req  bus.FileRequest
		code bus.Code
		says string
	}{
		"locked.pdf":     {bus.FileRequest{Content: fixture(t, "locked.pdf")}, bus.CodeFailed, "has a password"},
		"scan.pdf":       {bus.FileRequest{Content: fixture(t, "scan.pdf")}, bus.CodeFailed, "they are pictures"},
		"half.pdf":       {bus.FileRequest{Content: pdf[:200]}, bus.CodeFailed, `"half.pdf" is broken, or no PDF at all`},
		"noise.pdf":      {bus.FileRequest{Content: []byte("%PDF-1.7\n" + strings.Repeat("7 0 obj <<", 5000))}, bus.CodeFailed, "is broken"},
		"circle.pdf":     {bus.FileRequest{Content: circle()}, bus.CodeFailed, ""},
		"spiral.pdf":     {bus.FileRequest{Content: spiral()}, bus.CodeFailed, "page 1: wasm error"},
		"page 9 of 3":    {bus.FileRequest{Content: pdf, Pages: "9"}, bus.CodeInvalid, "has no page among 9: its last one is 3"},
		"half.docx":      {bus.FileRequest{Content: docx[:len(docx)/2]}, bus.CodeFailed, "is broken"},
		"bomb.docx":      {bus.FileRequest{Content: bomb(t)}, bus.CodeFailed, "larger, unpacked"},
		"deep.docx":      {bus.FileRequest{Content: packed(t, strings.Repeat("<a>", 5000))}, bus.CodeFailed, "nested too deep"},
		"entity.docx":    {bus.FileRequest{Content: packed(t, `<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>`)}, bus.CodeFailed, "is broken"},
		"empty.docx":     {bus.FileRequest{Content: packed(t, `<document/>`)}, bus.CodeFailed, "holds no text"},
		"locked.docx":    {bus.FileRequest{Content: locked}, bus.CodeFailed, "has a password"},
		"letter.doc":     {bus.FileRequest{Content: locked[:1100]}, bus.CodeInvalid, "is application/x-ole-storage"},
		"pages of DOCX":  {bus.FileRequest{Content: docx, Pages: "1"}, bus.CodeInvalid, "has no pages to choose from"},
		"picture.txt":    {bus.FileRequest{Content: []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")}, bus.CodeInvalid, "is image/png"},
		"archive.docx":   {bus.FileRequest{Content: archive(t, "a.txt", "a")}, bus.CodeInvalid, "is application/zip"},
		"empty.html":     {bus.FileRequest{Content: []byte("<!doctype html><p> <script>a</script>")}, bus.CodeFailed, "holds no text"},
		"deep.html":      {bus.FileRequest{Content: []byte("<!doctype html>" + strings.Repeat("<div>", 1000))}, bus.CodeFailed, "nodes"},
		"pages.html":     {bus.FileRequest{Content: []byte("<!doctype html><p>a"), Pages: "1"}, bus.CodeInvalid, "has no pages to choose from"},
		"blank.txt":      {bus.FileRequest{Content: []byte(" \n ")}, bus.CodeFailed, "holds no text"},
		"noise.bin":      {bus.FileRequest{Content: []byte{0, 1, 2, 3, 250}}, bus.CodeInvalid, "is application/octet-stream"},
		"nothing":        {bus.FileRequest{}, bus.CodeInvalid, "is empty"},
		"../../etc/pass": {bus.FileRequest{Content: []byte("a")}, bus.CodeInvalid, "no path"},
		"some format":    {bus.FileRequest{Content: []byte("a"), Format: "rtf"}, bus.CodeInvalid, "format"},
		"some pages":     {bus.FileRequest{Content: pdf, Pages: "3-1"}, bus.CodeInvalid, "pages"},
	} {
		c.req.Name = name
		_, err := read(t, h, c.req)
		refused(t, name, err, c.code, c.says)
		if hint := bus.AsError(err).Hint; name == "picture.txt" && !strings.Contains(hint, "myco ask --image") {
			t.Errorf("of a picture it hints at %q", hint)
		}
	}
	// After all of these, a good one is read.
	if _, err := read(t, h, bus.FileRequest{Content: pdf}); err != nil {
		t.Error(err)
	}
}

// refused wants a final error in one line.
func refused(t *testing.T, name string, err error, code bus.Code, says string) {
	t.Helper()
	e := bus.AsError(err)
	if e == nil || e.Code != code || !strings.Contains(e.Message, says) || strings.Contains(e.Message, "\n") || bus.IsRetry(err) {
		t.Errorf("%s: %+v, want a final %s in one line that says %q", name, e, code, says)
	}
}

// A file of what PDFium was compiled to that is damaged, as by a disk, is made anew, also where the reader is a
// process that is held back.
func TestPDFiumIsDamaged(t *testing.T) {
	dir := t.TempDir()
	reads := func(h *file.Handler) {
		t.Helper()
		res, err := read(t, h, bus.FileRequest{Content: fixture(t, "report.pdf")})
		if err != nil || res.Pages != 3 {
			t.Fatalf("%+v, error %v", res, err)
		}
	}
	reads(setup(t, file.Config{})) // the cache of all has it then
	if err := os.CopyFS(dir, os.DirFS(cache)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, error %v, want one file", files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(good)
	damaged[len(good)/2] ^= 1
	if err := os.WriteFile(files[0], damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	reads(setup(t, file.Config{Cache: dir, Reader: []string{os.Args[0], readDocument}}))
	if again, err := os.ReadFile(files[0]); err != nil || len(again) != len(good) || bytes.Equal(again, damaged) {
		t.Errorf("%d bytes after it was made anew, want %d; error %v", len(again), len(good), err)
	}
}

// A PDF that unpacks to more memory than PDFium gets is stopped by its limit.
func TestPDFMemory(t *testing.T) {
	h := setup(t, file.Config{Memory: 48 << 20})
	_, err := read(t, h, bus.FileRequest{Name: "bomb.pdf", Content: pdfOf(t, 128<<20)})
	if e := bus.AsError(err); e == nil || e.Code != bus.CodeFailed || !strings.Contains(e.Message, "wasm error") || bus.IsRetry(err) {
		t.Errorf("a bomb: %v, want a final failure of PDFium", err)
	}
	if _, err := read(t, h, bus.FileRequest{Content: fixture(t, "report.pdf")}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// A document that takes too long ends with an error of its own, and PDFium with it.
func TestTime(t *testing.T) {
	h := setup(t, file.Config{Limit: -1}) // over before it begins, also by Windows' clock
	for _, name := range []string{"report.pdf", "report.docx"} {
		_, err := read(t, h, bus.FileRequest{Name: name, Content: fixture(t, name)})
		if e := bus.AsError(err); e == nil || e.Code != bus.CodeFailed || !strings.Contains(e.Message, "was not read within") || bus.IsRetry(err) {
			t.Errorf("%s: %v, want a final failure by time", name, err)
		}
	}
}

// Who cancels a task is answered with the cause.
func TestCancel(t *testing.T) {
	h := setup(t, file.Config{})
	cause := errors.New("no longer wanted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	task, err := bus.NewTask(bus.TypeFile, bus.FileRequest{Content: fixture(t, "report.pdf")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Handle(ctx, &task, func(any) error { return nil }); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}

// That the first PDF takes long is told before it is begun.
func TestFirstPDF(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := setup(t, file.Config{Cache: dir, Reader: []string{os.Args[0], readDocument}})
	cause := errors.New("told enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for _, c := range []struct{ document, compiled, told string }{
		{"report.pdf", "", "the node prepares its PDF reader"},
		{"report.txt", "", ""},
		{"report.pdf", "unfinished.tmp", "the node prepares its PDF reader"},
		{"report.pdf", "finished", ""},
	} {
		if c.compiled != "" {
			if err := os.WriteFile(filepath.Join(dir, c.compiled), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		task, err := bus.NewTask(bus.TypeFile, bus.FileRequest{Content: fixture(t, c.document)})
		if err != nil {
			t.Fatal(err)
		}
		told := ""
		_, err = h.Handle(ctx, &task, func(chunk any) error {
			told += chunk.(bus.FileProgress).Status
			return nil
		})
		if !errors.Is(err, cause) || told == "" != (c.told == "") || !strings.HasPrefix(told, c.told) {
			t.Errorf("%+v: told %q, error %v, want %v", c, told, err, cause)
		}
	}
}

// A machine on which PDFium has too little memory to start gives the task to another.
func TestAnotherNode(t *testing.T) {
	h := setup(t, file.Config{Memory: 1 << 20})
	_, err := read(t, h, bus.FileRequest{Content: fixture(t, "report.pdf")})
	if e := bus.AsError(err); e == nil || e.Code != bus.CodeUnavailable || !bus.IsRetry(err) {
		t.Errorf("got %v, want one that another node tries", err)
	}
}

// pdfOf returns a PDF of one page, whose content is size bytes of blanks, compressed.
func pdfOf(t *testing.T, size int) []byte {
	t.Helper()
	var stream bytes.Buffer
	z := zlib.NewWriter(&stream)
	blanks := bytes.Repeat([]byte(" "), 1<<20)
	for range size / len(blanks) {
		if _, err := z.Write(blanks); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return objects(
		"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R>>",
		fmt.Sprintf("<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream", stream.Len(), stream.Bytes()))
}

// circle returns a PDF whose pages are their own children.
func circle() []byte {
	return objects("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000/Parent 2 0 R>>")
}

// spiral returns a PDF whose page is drawn by a form that draws itself, for which PDFium has no room.
func spiral() []byte {
	const resources = "/Resources<</XObject<</X 5 0 R>>>>"
	return objects("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R"+resources+">>", "<</Length 5>>stream\n/X Do\nendstream",
		"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]"+resources+"/Length 11>>stream\n/X Do /X Do\nendstream")
}

// objects returns a PDF with these objects, the first of which is its root.
func objects(all ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var at []int
	for i, o := range all {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(all)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(all)+1, xref)
	return b.Bytes()
}

// archive returns a zip with one file.
func archive(t testing.TB, name string, content ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range content {
		if _, err := io.WriteString(w, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packed(t testing.TB, xml string) []byte { return archive(t, "word/document.xml", xml) }

// archiveOf returns an archive of files, each its name and what is in it.
func archiveOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for file := range slices.Chunk(files, 2) {
		method := zip.Deflate
		if file[0] == "mimetype" { // it stands where everybody finds it
			method = zip.Store
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: file[0], Method: method})
		if err == nil {
			_, err = io.WriteString(w, file[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb returns a DOCX of 100 KB that unpacks to 100 MB. Most of it is blank, which the parser is through with soonest.
func bomb(t *testing.T) []byte {
	return archive(t, "word/document.xml", slices.Repeat([]string{"<w:t>" + strings.Repeat(" ", 1<<20) + "</w:t>"}, 96)...)
}

// FuzzRead reads whatever there is but PDFs, which PDFium's own fuzzers read.
func FuzzRead(f *testing.F) {
	f.Add([]byte("a\n\nb"), "")
	f.Add(odt(f, `<list><list-item><p>a<note><note-body><p>b</p></note-body></note><a href="c">d</a></p></list-item></list><table><table-row><covered-table-cell/></table-row></table>`), "text")
	f.Add(epub(f), "")
	f.Add(pptx(f, shape(`type="title"`, "<r><t>a</t></r>")+shape("idx='1'", `<pPr lvl="-1"><buAutoNum/></pPr><r><rPr><hlinkClick r:id="rId2"/></rPr><t>b</t></r>`), shape("", "<t>c</t>")), "")
	f.Add(xlsx(f, `<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" s="1"><v>46000</v></c><c t="inlineStr"><is><t>a</t></is></c></row><row r="9"><c><f>A1</f></c></row>`,
		append(texts(`<si><r><t>a</t></r><rPh><t>b</t></rPh></si>`), "xl/styles.xml", `<styleSheet><numFmt numFmtId="164" formatCode="d. mmm yy"/><cellXfs><xf/><xf numFmtId="164"/></cellXfs></styleSheet>`)...), "")
	f.Add(ods(f, `<table name="S"><table-row number-rows-repeated="3"><table-cell number-columns-repeated="2"><p>a</p></table-cell><covered-table-cell/></table-row></table>`), "text")
	f.Add(odp(f, `<page><frame class="title"><p>a</p></frame><notes><frame><list><list-item><p>b</p></list-item></list></frame></notes></page>`), "text")
	f.Add(packed(f, `<document><p><pPr><numPr><ilvl val="-1"/><numId val="1"/></numPr></pPr><r><t>a</t></r></p><tbl><tr><tc><tbl><tr><tc><p><t>b</t></p></tc></tr></tbl></tc></tr></tbl></document>`), "text")
	h := file.New(file.Config{})
	f.Fuzz(func(t *testing.T, content []byte, format string) {
		if len(content) == 0 || bytes.Contains(content[:min(len(content), 1024)], []byte("%PDF-")) {
			return
		}
		task, err := bus.NewTask(bus.TypeFile, bus.FileRequest{Content: content, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		res, err := h.Handle(t.Context(), &task, nil) // no PDF, no output
		if err != nil {
			if e := bus.AsError(err); e.Code == bus.CodeInternal {
				t.Error(err)
			}
			return
		}
		for _, r := range res.(bus.FileResult).Text {
			if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Errorf("the text has %U", r)
			}
		}
	})
}

package file_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

const (
	xlsxType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	odsType  = "application/vnd.oasis.opendocument.spreadsheet"
)

// budget is what testdata/budget.fods tells, made by LibreOffice in either format.
const budget = `# Budget

What a year costs

| Month | Honey | Share \| sold | Done |
| --- | --- | --- | --- |
| June 2026 | 1,234.50 € | 25.6% | TRUE |
| July 2026 | -17.00 € |  | FALSE |
| Sum | 1,217.50 € |  |  |

| Buy | Where |
| --- | --- |
| Jars, large | at the mill |

# Lists (hidden)

0.1

#DIV/0!
`

func TestSheets(t *testing.T) {
	h := setup(t, file.Config{})
	for name, kind := range map[string]string{"budget.xlsx": xlsxType, "budget.ods": odsType} {
		got, err := read(t, h, bus.FileRequest{Name: "a.txt", Content: fixture(t, name)})
		if err != nil || got.Text != budget || got.Kind != kind || got.Title != "Bees in the garden" || got.Author != "Ada Müller" || got.Truncated {
			t.Errorf("%s: got %+v, error %v", name, got, err)
		}
		got, err = read(t, h, bus.FileRequest{Content: fixture(t, name), Format: bus.FileText})
		if want := "Budget\n\nWhat a year costs\n\nMonth\tHoney\tShare | sold\tDone\nJune 2026\t1,234.50 €\t25.6%\tTRUE\nJuly 2026\t-17.00 €\t\tFALSE\nSum\t1,217.50 €\n\n"; err != nil || !strings.HasPrefix(got.Text, want) {
			t.Errorf("%s as text: %q, error %v, want %q", name, got.Text, err, want)
		}
		_, err = read(t, h, bus.FileRequest{Name: name, Content: fixture(t, name), Pages: "1"})
		refused(t, name, err, bus.CodeInvalid, "has no pages to choose from")
	}
}

// xlsx is a workbook of one sheet called S with these rows; other files are each its name and what is in it.
func xlsx(t testing.TB, rows string, other ...string) []byte {
	t.Helper()
	return archiveOf(t, append([]string{
		"xl/workbook.xml", `<workbook><sheets><sheet name="S" sheetId="7" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="rId1" Type="` + types + `worksheet" Target="worksheets/sheet3.xml"/>` +
			`<Relationship Id="rId2" Type="` + types + `sharedStrings" Target="sharedStrings.xml"/><Relationship Id="rId3" Type="` + types + `styles" Target="/xl/styles.xml"/></Relationships>`,
		"xl/worksheets/sheet3.xml", `<worksheet><sheetData>` + rows + `</sheetData></worksheet>`,
	}, other...)...)
}

// texts is the part with the texts that cells share.
func texts(si string) []string { return []string{"xl/sharedStrings.xml", "<sst>" + si + "</sst>"} }

func TestXLSX(t *testing.T) {
	h := setup(t, file.Config{})
	for name, c := range map[string]struct {
		rows, want string
		other      []string
	}{
		"shared texts": {
			`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c><c r="D1" t="s"><v>9</v></c></row>`,
			"| plain | rich text | 東京 |\n| --- | --- | --- |\n",
			texts(`<si><t xml:space="preserve"> plain </t></si><si><r><rPr><b/></rPr><t>rich</t></r><r><t xml:space="preserve"> text_x000D_</t></r></si><si><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh><phoneticPr/></si>`),
		},
		"texts of its own, truths and errors": {
			`<row r="1"><c t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c><c t="str"><f>"c"&amp;"d"</f><v>cd</v></c><c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c><c t="d"><v>2026-05-04</v></c></row>`,
			"| ab | cd | TRUE | #N/A | 2026-05-04 |\n| --- | --- | --- | --- | --- |\n", nil,
		},
		"results of formulas, or else the formulas": {`<row><c><f>1+1</f><v>2</v></c><c><f>A1+1</f></c><c><f t="shared" si="0"/></c></row>`, "| 2 | =A1+1 |\n| --- | --- |\n", nil},
		"lines and bars":                          {`<row><c t="inlineStr"><is><t>a&#10; b|c</t></is></c><c><v>1</v></c></row>`, "| a b\\|c | 1 |\n| --- | --- |\n", nil},
		"columns and rows that are empty":         {`<row r="5"><c r="C5"><v>1</v></c><c r="D5" s="3"/><c r="AA5"><v>2</v></c></row><row r="6"/>`, "| 1 | 2 |\n| --- | --- |\n", nil},
		"a cell far away":                         {`<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>`, "1\n\n2\n", nil},
		"beyond the last column":                  {`<row r="1"><c r="A1"><v>1</v></c><c r="ZZZZZZZZZZZZZZZZ1"><v>2</v></c></row>`, "1\n", nil},
		"cells in no order":                       {`<row><c r="B1"><v>2</v></c><c r="A1"><v>1</v></c><c r="B1"><v>3</v></c></row>`, "| 1 | 2 |\n| --- | --- |\n", nil},
		"a title on the table":                    {`<row><c t="str"><v>T</v></c></row><row><c t="str"><v>a</v></c><c t="str"><v>b</v></c></row><row><c><v>1</v></c></row>`, "T\n\n| a | b |\n| --- | --- |\n| 1 |  |\n", nil},
		"a sum behind an empty row":               {`<row r="1"><c t="str"><v>a</v></c><c t="str"><v>b</v></c></row><row r="2"><c><v>1</v></c><c><v>2</v></c></row><row r="4"><c r="B4"><v>2</v></c></row>`, "| a | b |\n| --- | --- |\n| 1 | 2 |\n|  | 2 |\n", nil},
		"another table behind an empty row":       {`<row r="1"><c t="str"><v>a</v></c><c t="str"><v>b</v></c></row><row r="2"><c><v>1</v></c><c><v>2</v></c></row><row r="4"><c t="str"><v>c</v></c><c t="str"><v>d</v></c></row>`, "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n| c | d |\n| --- | --- |\n", nil},
		"what stands beside it behind empty rows": {`<row r="1"><c><v>1</v></c></row><row r="2"><c><v>2</v></c></row><row r="9"><c r="E9"><v>3</v></c></row>`, "| 1 |\n| --- |\n| 2 |\n\n3\n", nil},
	} {
		got, err := read(t, h, bus.FileRequest{Content: xlsx(t, c.rows, c.other...)})
		if want := "# S\n\n" + c.want; err != nil || got.Text != want || got.Kind != xlsxType {
			t.Errorf("%s: %q, %s, error %v, want %q", name, got.Text, got.Kind, err, want)
		}
	}
}

// Numbers are shown as a person sees them.
func TestXLSXNumbers(t *testing.T) {
	h := setup(t, file.Config{})
	for _, c := range []struct{ format, number, want string }{
		{"0", "0.30000000000000004", "0.3"},
		{"0", "4006381333931", "4006381333931"},
		{"0", "1234567.8912345", "1234567.891"},
		{"0", "1.5E-12", "1.5E-12"},
		{"0", "-0", "0"},
		{"0", "nonsense", "nonsense"},
		{"1", "2.6", "3"},
		{"4", "1234.5", "1,234.50"},
		{"9", "0.256", "26%"},
		{"49", "007", "7"},
		{"14", "46000", "2025-12-09"},
		{"22", "46000.5", "2025-12-09 12:00"},
		{"20", "0.75", "18:00"},
		{"46", "1.25", "30:00:00"},
		{"58", "46000", "2025-12-09"},
		{`dd.mm.yyyy`, "46000", "09.12.2025"},
		{`[$-407]d. mmmm yyyy;@`, "46000", "9. Dezember 2025"},
		{"[$-F800]dddd, mmmm dd, yyyy", "46000", "2025-12-09"},
		{`#,##0.00 "€"`, "1234.5", "1,234.50 €"},
		{`_("$"* #,##0.00_);_("$"* \(#,##0.00\)`, "-5", "$(5.00)"},
		{`0" kg"`, "3", "3 kg"},
		{"# ??/??", "0.3", "0 3/10"},
		{"General", "1.5", "1.5"},
		{";;;[[[", "1", ""},
		{"# " + strings.Repeat("?", 20) + "/" + strings.Repeat("?", 20), "0.314159", "0.314159"},
		{strings.Repeat("0", 300), "1", "1"},
		{"yyyy-mm-dd", "-1", "-1"},
	} {
		id, codes := c.format, ""
		if strings.Trim(id, "0123456789") != "" || len(id) > 2 {
			id, codes = "164", `<numFmts><numFmt numFmtId="164" formatCode="`+strings.NewReplacer(`"`, "&quot;").Replace(c.format)+`"/></numFmts>`
		}
		styles := "<styleSheet>" + codes + `<cellStyleXfs><xf numFmtId="9"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="` + id + `"/></cellXfs><dxfs><dxf><numFmt numFmtId="` + id + `" formatCode="&quot;of a condition&quot;"/></dxf></dxfs></styleSheet>`
		got, err := read(t, h, bus.FileRequest{Content: xlsx(t, `<row><c s="0" t="str"><v>x</v></c><c s="1"><v>`+c.number+`</v></c></row>`, "xl/styles.xml", styles)})
		want := "# S\n\n| x | " + c.want + " |\n| --- | --- |\n"
		if c.want == "" {
			want = "# S\n\nx\n"
		}
		if err != nil || got.Text != want {
			t.Errorf("%s in %s: %q, error %v, want %q", c.number, c.format, got.Text, err, want)
		}
	}
}

// What Office calls strict has other types; old Macs counted days from 1904 on; sheets may be hidden, or charts.
func TestXLSXOfOtherMakes(t *testing.T) {
	h := setup(t, file.Config{})
	const strict = "http://purl.oclc.org/ooxml/officeDocument/relationships/"
	got, err := read(t, h, bus.FileRequest{Content: archiveOf(t,
		"_rels/.rels", `<Relationships><Relationship Type="`+strict+`officeDocument" Target="/xl/book.xml"/></Relationships>`,
		"xl/book.xml", `<x:workbook xmlns:x="http://purl.oclc.org/ooxml/spreadsheetml/main"><x:workbookPr date1904="true"/><x:sheets><x:sheet name="Two&#10;words" sheetId="1" r:id="a"/><x:sheet name="C" r:id="c"/><x:sheet name="H" state="veryHidden" r:id="b"/><x:sheet name="E" r:id="e"/></x:sheets></x:workbook>`,
		"xl/_rels/book.xml.rels", `<Relationships><Relationship Id="a" Type="`+strict+`worksheet" Target="/xl/a.xml"/><Relationship Id="b" Type="`+strict+`worksheet" Target="b.xml"/>`+
			`<Relationship Id="c" Type="`+strict+`chartsheet" Target="c.xml"/><Relationship Id="e" Type="`+strict+`worksheet" Target="e.xml"/><Relationship Id="s" Type="`+strict+`styles" Target="styles.xml"/></Relationships>`,
		"xl/styles.xml", `<x:styleSheet><x:cellXfs><x:xf numFmtId="14"/></x:cellXfs></x:styleSheet>`,
		"xl/a.xml", `<x:worksheet><x:sheetData><x:row r="1"><x:c r="A1" s="0"><x:v>44538</x:v></x:c></x:row></x:sheetData></x:worksheet>`,
		"xl/b.xml", `<worksheet><row><c t="str"><v>b</v></c></row></worksheet>`, "xl/c.xml", `<chartsheet/>`, "xl/e.xml", `<worksheet/>`)})
	if want := "# Two words\n\n2025-12-09\n\n# H (hidden)\n\nb\n"; err != nil || got.Text != want {
		t.Errorf("got %q, error %v, want %q", got.Text, err, want)
	}
}

// ods is a spreadsheet of that content.
func ods(t testing.TB, content string, other ...string) []byte {
	t.Helper()
	return archiveOf(t, append([]string{"mimetype", odsType, "content.xml", "<document-content>" + content + "</document-content>"}, other...)...)
}

func TestODS(t *testing.T) {
	h := setup(t, file.Config{})
	for name, c := range map[string]struct{ content, want string }{
		"repeated": {
			`<table name="S"><table-row number-rows-repeated="2"><table-cell value-type="float" number-columns-repeated="2"><p>1</p></table-cell><table-cell number-columns-repeated="16382"/></table-row></table>`,
			"# S\n\n| 1 | 1 |\n| --- | --- |\n| 1 | 1 |\n",
		},
		"far away": {
			`<table name="S"><table-row><table-cell><p>1</p></table-cell></table-row><table-row number-rows-repeated="1048574"><table-cell number-columns-repeated="16384"/></table-row><table-row><table-cell number-columns-repeated="16383"/><table-cell><p>2</p></table-cell></table-row></table>`,
			"# S\n\n1\n\n2\n",
		},
		"what is merged": {`<table name="S"><table-row><table-cell><p>a</p></table-cell><covered-table-cell><p>under it</p></covered-table-cell><table-cell><p>b<s c="3"/>c<line-break/>d</p></table-cell></table-row></table>`, "# S\n\n| a | b c d |\n| --- | --- |\n"},
		"values without texts": {
			`<table name="S"><table-row><table-cell value-type="percentage" value="0.256"/><table-cell value-type="currency" value="5" currency="EUR"/><table-cell value-type="date" date-value="2026-05-04"/><table-cell value-type="boolean" boolean-value="true"/><table-cell value-type="string" string-value="a"/></table-row></table>`,
			"# S\n\n| 25.6% | 5 EUR | 2026-05-04 | TRUE | a |\n| --- | --- | --- | --- | --- |\n",
		},
		"what other files hold, and drawings": {
			`<table name="'file:///a.ods'#S"><table-source/><table-row><table-cell><p>no</p></table-cell></table-row></table><table name="S"><shapes><frame><text-box><p>no</p></text-box></frame></shapes><table-row><table-cell><annotation><p>no</p></annotation><custom-shape><p>no</p></custom-shape><frame><text-box><p>no</p></text-box></frame><p><ruby><ruby-base>東京</ruby-base><ruby-text>とうきょう</ruby-text></ruby></p></table-cell></table-row></table>`,
			"# S\n\n東京\n",
		},
	} {
		got, err := read(t, h, bus.FileRequest{Content: ods(t, c.content)})
		if err != nil || got.Text != c.want || got.Kind != odsType {
			t.Errorf("%s: %q, %s, error %v, want %q", name, got.Text, got.Kind, err, c.want)
		}
	}
}

// A sheet that goes on for ever is cut, and says where; the next one is read.
func TestLargeSheets(t *testing.T) {
	h := setup(t, file.Config{})
	const cut, next = "\n| 7 |\n\n[the sheet goes on: what comes after row 500000 is left out]\n\n", "# T\n\nbees\n"
	endless := `<row><c><v>7</v></c></row>`
	for name, content := range map[string][]byte{
		"xlsx": archiveOf(t, "xl/workbook.xml", `<workbook><sheet name="S" r:id="a"/><sheet name="T" r:id="b"/></workbook>`,
			"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="a" Type="worksheet" Target="a.xml"/><Relationship Id="b" Type="worksheet" Target="b.xml"/></Relationships>`,
			"xl/a.xml", "<sheetData>"+strings.Repeat(endless, 500_001)+"</sheetData>", "xl/b.xml", `<row><c t="str"><v>bees</v></c></row>`),
		"ods": ods(t, `<table name="S"><table-row number-rows-repeated="1048576"><table-cell><p>7</p></table-cell></table-row></table><table name="T"><table-row><table-cell><p>bees</p></table-cell></table-row></table>`),
	} {
		got, err := read(t, h, bus.FileRequest{Content: content})
		if err != nil || !got.Truncated || !strings.HasSuffix(got.Text, cut+next) {
			t.Errorf("%s: %d words, truncated %v, error %v, ends in %q", name, got.Words, got.Truncated, err, got.Text[max(0, len(got.Text)-100):])
		}
	}
	// So is one that is larger than what is unpacked, and one for which nothing is left.
	got, err := read(t, h, bus.FileRequest{Content: archiveOf(t, "xl/workbook.xml", `<workbook><sheet name="S" r:id="a"/><sheet name="T" r:id="b"/></workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="a" Type="worksheet" Target="a.xml"/><Relationship Id="b" Type="worksheet" Target="b.xml"/></Relationships>`,
		"xl/a.xml", "<sheetData>"+endless+endless+"<row><c><v>"+strings.Repeat(" ", 65<<20), "xl/b.xml", "<sheetData>"+strings.Repeat(" ", 33<<20)+endless)})
	if want := "# S\n\n| 7 |\n| --- |\n| 7 |\n\n[the sheet goes on: what comes after row 2 is left out]\n\n# T\n\n[the sheet goes on: what comes after row 0 is left out]\n"; err != nil || got.Text != want || !got.Truncated {
		t.Errorf("unpacked: %.99q, error %v, want %q", got.Text, err, want)
	}
	// Cells side by side to the last column are cut, too, and one in it does not make 16384 of its row.
	var diagonal strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&diagonal, `<table-row><table-cell number-columns-repeated="%d"/><table-cell><p>x</p></table-cell></table-row>`, i+1)
	}
	got, err = read(t, h, bus.FileRequest{Content: ods(t, `<table name="S">`+diagonal.String()+`</table>`)})
	if err != nil || !got.Truncated || strings.Count(got.Text, "| x |") != 1000 || !strings.HasSuffix(got.Text, "\n\n[the table goes on: what comes after column 1001 is left out]\n") {
		t.Errorf("a diagonal: %d, error %v, ends in %q", strings.Count(got.Text, "| x |"), err, got.Text[max(0, len(got.Text)-100):])
	}
}

func TestSheetsNotRead(t *testing.T) {
	h := setup(t, file.Config{})
	whole := fixture(t, "budget.xlsx")
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"cut off":             {whole[:len(whole)/2], "is broken, or no XLSX"},
		"no sheets":           {archiveOf(t, "xl/workbook.xml", "<workbook/>"), "holds no text"},
		"nothing":             {xlsx(t, "<row/>"), "holds no text"},
		"a lost sheet":        {archiveOf(t, "xl/workbook.xml", `<sheet r:id="a"/>`, "xl/_rels/workbook.xml.rels", `<Relationship Id="a" Type="worksheet" Target="a.xml"/>`), "is broken, or no XLSX"},
		"a sheet that is cut": {xlsx(t, "<row><c><v>1</v></c></row><row>"), "is broken, or no XLSX"},
		"deep":                {xlsx(t, strings.Repeat("<row>", 2000)+strings.Repeat("</row>", 2000)), "nested too deep"},
		"a bomb":              {xlsx(t, strings.Repeat(" ", 65<<20)), "larger, unpacked"},
		"a bomb of texts":     {xlsx(t, "<row><c><v>1</v></c></row>", texts(strings.Repeat("<si/>", 2<<20+10))...), "larger, unpacked"},
		"a locked ODS":        {ods(t, "\x00", "META-INF/manifest.xml", `<manifest><file-entry><encryption-data/></file-entry></manifest>`), "has a password"},
		"a broken ODS":        {ods(t, "<table>"), "is broken, or no ODS"},
		"an empty ODS":        {ods(t, `<table name="S"><table-row><table-cell/></table-row></table>`), "holds no text"},
	} {
		_, err := read(t, h, bus.FileRequest{Name: "a", Content: c.content})
		refused(t, name, err, bus.CodeFailed, c.says)
	}
}

// What an older office wrote says what it is, and how it becomes what is read.
func TestOlderOffice(t *testing.T) {
	h := setup(t, file.Config{})
	ole := func(stream string) []byte {
		content := append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 2000)...)
		copy(content[512:], stream)
		return content
	}
	for name, c := range map[string]struct {
		content    []byte
		says, hint string
	}{
		"my old.xls": {ole("\x09\x08\x10\x00\x00\x06\x05\x00"), "(XLS, of an older Excel)", "soffice --convert-to xlsx " + bus.ShellWord("my old.xls")},
		"-a.xls":     {ole("\x09\x08\x10\x00\x00\x06\x05\x00"), "(XLS, of an older Excel)", "soffice --convert-to xlsx ./-a.xls"},
		"old.xls":    {ole("\x09\x08\x10\x00\x00\x06\x05\x00"), "is application/vnd.ms-excel (XLS, of an older Excel): PDF, ", "soffice --convert-to xlsx old.xls"},
		"old.ppt":    {ole("\x0f\x00\xe8\x03"), "(PPT, of an older PowerPoint)", "soffice --convert-to pptx old.ppt"},
		"old.doc":    {ole("W\x00o\x00r\x00k\x00b\x00o\x00o\x00k\x00\x00\x00" + strings.Repeat("\x00", 1000) + "W\x00o\x00r\x00d\x00D\x00o\x00c\x00u\x00m\x00e\x00n\x00t\x00\x00\x00"), "is application/msword (DOC, of an older Word)", "soffice --convert-to docx old.doc"},
		"":           {[]byte(`{\rtf1\ansi bees}`), "the document is text/rtf (RTF)", "soffice --convert-to docx FILE"},
		"book.xlsb":  {archiveOf(t, "_rels/.rels", `<Relationship Type="officeDocument" Target="xl/workbook.bin"/>`, "xl/workbook.bin", "\x83\x01\x00"), "is an XLSB", "soffice --convert-to xlsx book.xlsb"},
	} {
		_, err := read(t, h, bus.FileRequest{Name: name, Content: c.content})
		refused(t, name, err, bus.CodeInvalid, c.says)
		if hint := bus.AsError(err).Hint; hint != c.hint {
			t.Errorf("%s: hint %q, want %q", name, hint, c.hint)
		}
	}
}

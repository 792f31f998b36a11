package file

import (
	"context"
	"encoding/xml"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// maxStrings is how many texts cells may share: more than the cells that are read of four sheets.
const maxStrings = 2 << 20

// xlsx is a workbook of Excel, as it is read (ECMA-376, part 1, 18).
//
// Excelize, which could read it, has all of a workbook in memory many times over, makes 16384 texts of a row whose only cell is
// in the last column, and takes a sheet that breaks off for a whole one: it shows the numbers, see shownNumbers.
type xlsx struct {
	*archive
	*sheets
	numbers shownNumbers
	strings []string // that cells share
	text    strings.Builder
	texts   int // elements around the text that is taken in
	sound   int // elements around what tells how it sounds

	rowAt, colAt int
	cells        []cell
	kind, style  string          // of the present cell
	value        strings.Builder // of it, as it is kept
	formula      strings.Builder
}

// readXLSX makes text of an XLSX.
func readXLSX(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	var res bus.FileResult
	a, err := openArchive(ctx, req.Content)
	if err != nil {
		return res, unreadable(req.Name, "XLSX", err)
	}
	main := mainPart(a.zip, kindXLSX)
	if path.Ext(main) == ".bin" {
		return res, bus.Errorf(bus.CodeInvalid, "%s is an XLSB, a workbook in binary, which is not read", named(req.Name)).WithHint("%s", convert("xlsx", req.Name))
	}
	x := &xlsx{archive: a, sheets: &sheets{plain: req.Format == bus.FileText}}
	if err := x.read(main, &res); err != nil {
		return res, unreadable(req.Name, "XLSX", err)
	}
	err = x.into(&res, req.Name)
	return res, err
}

// read makes text of the workbook whose main part is named.
func (x *xlsx) read(main string, res *bus.FileResult) error {
	relations, err := x.relations(main)
	if err != nil {
		return err
	}
	for _, r := range relations {
		var err error
		switch r.typ {
		case "styles":
			err = x.part(r.target, false, x.numbers.readStyles)
		case "sharedStrings":
			err = x.part(r.target, false, x.readStrings)
		}
		if err != nil {
			return err
		}
	}
	if err := x.part("docProps/core.xml", false, func(d *xml.Decoder) error { return readCore(d, res) }); err != nil {
		return err
	}
	all, err := x.readWorkbook(main, relations)
	if err != nil {
		return err
	}
	for _, s := range all {
		if x.out.full {
			break
		}
		x.begin(s.name, s.hidden)
		x.rowAt, x.cells = 0, nil
		if err := x.unless(x.part(s.part, true, x.readSheet)); err != nil {
			return err
		}
		x.flush()
	}
	return nil
}

// sheet is where one is.
type sheet struct {
	name, part string
	hidden     bool
}

// readWorkbook reads the main part: which sheets there are, and from when on days are counted.
func (x *xlsx) readWorkbook(main string, relations map[string]relation) (all []sheet, err error) {
	err = x.part(main, true, func(d *xml.Decoder) error {
		return each(d, func(e xml.StartElement) {
			switch e.Name.Local {
			case "workbookPr":
				x.numbers.from1904 = isTrue(attr(e, "date1904"))
			case "sheet":
				if r := relations[related(e)]; r.typ == "worksheet" && len(all) < zipEntries { // else it is a chart alone
					all = append(all, sheet{attr(e, "name"), r.target, attr(e, "state") != "" && attr(e, "state") != "visible"})
				}
			}
		}, ignore, ignore)
	})
	return all, err
}

// readStrings reads the texts that cells share.
func (x *xlsx) readStrings(d *xml.Decoder) error {
	return each(d, func(e xml.StartElement) {
		if x.startText(e.Name.Local); e.Name.Local == "si" {
			x.text.Reset()
		}
	}, func(name string) {
		x.endText(name)
		if name != "si" {
			return
		}
		if x.strings = append(x.strings, x.text.String()); len(x.strings) > maxStrings {
			x.left = 0
		}
	}, x.chars)
}

// startText notes that what is within an element is text, or how it sounds, as Japanese has it beside.
func (x *xlsx) startText(name string) {
	switch name {
	case "t":
		x.texts++
	case "rPh":
		x.sound++
	}
}

func (x *xlsx) endText(name string) {
	switch name {
	case "t":
		x.texts--
	case "rPh":
		x.sound--
	}
}

func (x *xlsx) chars(s string) {
	if x.texts > 0 && x.sound == 0 {
		x.text.WriteString(s)
	}
}

// readSheet reads the rows of a sheet.
func (x *xlsx) readSheet(d *xml.Decoder) error {
	in := "" // what of a cell
	return each(d, func(e xml.StartElement) {
		switch name := e.Name.Local; name {
		case "row":
			x.rowAt, x.colAt, x.cells = numbered(attr(e, "r"), x.rowAt+1), 0, nil
		case "c":
			x.colAt = column(attr(e, "r"), x.colAt+1)
			x.kind, x.style = attr(e, "t"), attr(e, "s")
			x.value.Reset()
			x.formula.Reset()
			x.text.Reset()
		case "v", "f":
			in = name
		default:
			x.startText(name)
		}
	}, func(name string) {
		switch in = ""; name {
		case "c":
			if c, ok := x.cell(); ok {
				x.cells = append(x.cells, c)
			}
		case "row":
			x.row(x.rowAt, inOrder(x.cells))
			x.enough = x.full || x.out.full
		default:
			x.endText(name)
		}
	}, func(s string) {
		switch in {
		case "v":
			x.value.WriteString(s)
		case "f":
			x.formula.WriteString(s)
		default:
			x.chars(s)
		}
	})
}

// cell is the present one, as it is shown.
func (x *xlsx) cell() (cell, bool) {
	value := x.value.String()
	switch x.kind {
	case "s":
		i, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || i < 0 || i >= len(x.strings) {
			return cell{}, false
		}
		return shown(x.colAt, unescape(x.strings[i]), false)
	case "inlineStr":
		return shown(x.colAt, unescape(x.text.String()), false)
	}
	if value == "" && x.formula.Len() > 0 { // written by a program that counts nothing out
		return shown(x.colAt, "="+x.formula.String(), true)
	}
	switch x.kind {
	case "str":
		return shown(x.colAt, unescape(value), false)
	case "b":
		value = map[bool]string{true: "TRUE", false: "FALSE"}[isTrue(value)]
	case "e", "d":
	default:
		value = x.numbers.show(x.style, strings.TrimSpace(value))
	}
	return shown(x.colAt, value, true)
}

// column is that of a cell such as BC12; next where none is told.
func column(ref string, next int) int {
	n := 0
	for _, r := range ref {
		if r < 'A' || r > 'Z' || n > maxColumn {
			break
		}
		n = n*26 + int(r-'A') + 1
	}
	if n == 0 {
		return next
	}
	return n
}

// numbered is a number from 1 on; next where none is told.
func numbered(s string, next int) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return n
	}
	return next
}

func isTrue(s string) bool { return s == "1" || s == "true" }

// escaped is a character that XML has no place for (ECMA-376, part 1, 22.9.2.19).
var escaped = regexp.MustCompile(`_x([0-9A-Fa-f]{4})_`)

// unescape makes the characters of s that are escaped.
func unescape(s string) string {
	if !strings.Contains(s, "_x") {
		return s
	}
	return escaped.ReplaceAllStringFunc(s, func(e string) string {
		r, _ := strconv.ParseUint(e[2:6], 16, 32) // four digits
		return string(rune(r))
	})
}

package file

import (
	"encoding/xml"
	"math"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

const (
	// maxFormats is how many formats of numbers are known of a workbook: Excel has 250. maxFormat is how long one may be, in bytes.
	maxFormats = 1000
	maxFormat  = 255
	// maxDigits is how many digits a fraction may have below: all that are tried.
	maxDigits = 7
	// maxShown is how many numbers it is remembered of how they are shown.
	maxShown = 1 << 16
	// isoDate is how dates are shown that are to be in the form of whichever machine shows them.
	isoDate = "yyyy-mm-dd"
)

// builtIn are the formats that have numbers and no codes (ECMA-376, part 1, 18.8.30), beside those of dates in East Asia.
var builtIn = map[int]string{
	1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
	14: isoDate, 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: isoDate + " h:mm",
	37: "#,##0 ;(#,##0)", 38: "#,##0 ;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)",
	41: "#,##0;-#,##0", 42: "#,##0;-#,##0", 43: "#,##0.00;-#,##0.00", 44: "#,##0.00;-#,##0.00",
	45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0",
}

// format is the code of a format that has a number alone; empty for what is shown as it is.
func format(id int) string {
	switch {
	case id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id == 57, id == 58:
		return isoDate
	case id >= 32 && id <= 35, id == 55, id == 56:
		return "h:mm:ss"
	}
	return builtIn[id]
}

// shownNumbers shows numbers as Excel does, by the formats of a workbook. What a format makes of a number is Excelize's: one cell of an
// empty workbook has each number in turn.
type shownNumbers struct {
	codes    map[int]string // by the numbers of formats
	cells    []int          // formats by the styles of cells
	from1904 bool           // days are counted from 1904 on, as on old Macs

	book   *excelize.File
	styles map[string]int
	shown  map[[2]string]string
}

// readStyles reads the formats, and which styles have them.
func (n *shownNumbers) readStyles(x *xml.Decoder) error {
	n.codes = map[int]string{}
	within := ""
	return each(x, func(e xml.StartElement) {
		id, _ := strconv.Atoi(attr(e, "numFmtId")) // 0 is general
		switch e.Name.Local {
		case "numFmts", "cellXfs":
			within = e.Name.Local
		case "numFmt": // there are others, of what cells look like on a condition
			if within == "numFmts" {
				n.codes[id] = attr(e, "formatCode")
			}
		case "xf":
			if within == "cellXfs" && len(n.cells) < maxStyles {
				n.cells = append(n.cells, id)
			}
		}
	}, func(name string) {
		if name == within {
			within = ""
		}
	}, ignore)
}

// maxStyles is how many styles cells may have: 65490 of Excel.
const maxStyles = 1 << 16

// show is a number as a cell of a style shows it.
func (n *shownNumbers) show(style, number string) string {
	code, i := "", 0
	if i, _ = strconv.Atoi(style); i >= 0 && i < len(n.cells) {
		id := n.cells[i]
		if code = n.codes[id]; code == "" {
			code = format(id)
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return number
	}
	switch upper := strings.ToUpper(code); {
	case strings.HasPrefix(upper, "[$-F800]"), strings.HasPrefix(upper, "[$-X-SYSDATE]"):
		code = isoDate
	case strings.HasPrefix(upper, "[$-F400]"), strings.HasPrefix(upper, "[$-X-SYSTIME]"):
		code = "h:mm:ss"
	case code == "" || upper == "GENERAL" || code == "@" || len(code) > maxFormat || strings.Contains(code, strings.Repeat("?", maxDigits+1)):
		return general(v)
	}
	key := [2]string{code, number}
	if s, ok := n.shown[key]; ok {
		return s
	}
	s, err := n.formatted(code, v)
	if err != nil {
		s = general(v)
	}
	if n.shown == nil || len(n.shown) >= maxShown {
		n.shown = map[[2]string]string{}
	}
	n.shown[key] = s
	return s
}

// formatted is a number in a format.
func (n *shownNumbers) formatted(code string, v float64) (s string, err error) {
	defer func() {
		if r := recover(); r != nil { // a code that Excelize did not foresee
			s = general(v)
		}
	}()
	const sheet, at = "Sheet1", "A1"
	if n.book == nil {
		n.book, n.styles = excelize.NewFile(), map[string]int{}
		if err := n.book.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &n.from1904}); err != nil {
			return "", err
		}
	}
	style, ok := n.styles[code]
	if !ok && len(n.styles) >= maxFormats {
		return general(v), nil
	}
	if !ok {
		if style, err = n.book.NewStyle(&excelize.Style{CustomNumFmt: &code}); err != nil {
			return "", err
		}
		n.styles[code] = style
	}
	if err := n.book.SetCellStyle(sheet, at, at, style); err != nil {
		return "", err
	}
	if err := n.book.SetCellFloat(sheet, at, v, -1, 64); err != nil {
		return "", err
	}
	return n.book.GetCellValue(sheet, at)
}

// general is a number without a format: with so many digits as a cell shows, but long ones, such as those of goods, whole.
func general(v float64) string {
	const digits, long, short = 10, 1e15, 1e-9
	if v == 0 {
		return "0" // and not -0
	}
	if v == math.Trunc(v) && math.Abs(v) < long {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	form := byte('f')
	if a := math.Abs(v); a >= long || a < short {
		form = 'G'
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		rounded = v
	}
	return strconv.FormatFloat(rounded, form, -1, 64)
}

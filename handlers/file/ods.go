package file

import (
	"cmp"
	"context"
	"encoding/xml"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// ods is a spreadsheet of OpenDocument, as it is read (OpenDocument 1.3, part 3, 9). What its cells show, they hold as text.
type ods struct {
	*sheets
	hiding  hiding // styles of sheets
	tables  int    // elements that are sheets around what is read
	foreign bool   // the sheet is kept of another file
	skip    int    // elements around what nobody reads in a cell

	rowAt, rowTimes int
	colAt, colTimes int
	cells           []cell
	within          bool // of a cell
	covered         bool // by another one, with which it is merged
	paras           int  // paragraphs around the text that is taken in
	text            strings.Builder
	kind, value     string // of the cell
}

// odsUnread are elements of a cell with text that it does not show: comments, how words sound, and what is drawn over it.
var odsUnread = map[string]bool{
	"annotation": true, "ruby-text": true, "frame": true, "custom-shape": true, "g": true, "rect": true, "ellipse": true, "circle": true, "line": true,
	"path": true, "polygon": true, "polyline": true, "regular-polygon": true, "connector": true, "caption": true, "measure": true, "control": true,
}

// readODS makes text of an ODS.
func readODS(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	var res bus.FileResult
	o := &ods{sheets: &sheets{plain: req.Format == bus.FileText}}
	err := readOpenDocument(ctx, req, "ODS", &res, func(x *xml.Decoder) error { return each(x, o.sheetStyle, ignore, ignore) }, o.read)
	if err != nil {
		return res, err
	}
	err = o.into(&res, req.Name)
	return res, err
}

func (o *ods) read(x *xml.Decoder) error {
	err := o.unless(each(x, o.start, o.end, func(s string) {
		if o.paras > 0 && o.skip == 0 {
			o.text.WriteString(s)
		}
	}))
	o.flush()
	return err
}

// sheetStyle takes in whether sheets of a style are hidden.
func (o *ods) sheetStyle(e xml.StartElement) {
	o.hiding.read(e, "table-properties", "display", "false")
}

func (o *ods) start(e xml.StartElement) {
	name := e.Name.Local
	if o.skip > 0 || odsUnread[name] {
		o.skip++
		return
	}
	switch name {
	case "table":
		if o.tables++; o.tables == 1 {
			o.begin(attr(e, "name"), o.hiding.hidden[attr(e, "style-name")])
			o.rowAt, o.foreign = 0, false
		}
	case "table-source":
		o.foreign = true
	case "table-row":
		o.rowTimes, o.colAt, o.cells = numbered(attr(e, "number-rows-repeated"), 1), 0, nil
	case "table-cell", "covered-table-cell":
		o.within, o.covered = o.tables == 1, name != "table-cell"
		o.colTimes = min(numbered(attr(e, "number-columns-repeated"), 1), maxColumn)
		o.kind, o.value = attr(e, "value-type"), odsValue(e)
		o.text.Reset()
	case "p":
		if o.within {
			o.paras++
			o.text.WriteByte(' ')
		}
	case "s", "tab", "line-break":
		o.text.WriteByte(' ')
	default:
		o.sheetStyle(e)
	}
}

func (o *ods) end(name string) {
	if o.skip > 0 {
		o.skip--
		return
	}
	switch name {
	case "table":
		if o.tables--; o.tables == 0 {
			o.flush()
		}
	case "table-row":
		for range min(o.rowTimes, maxSheetCells+1) {
			if len(o.cells) == 0 || o.foreign || o.full || o.out.full {
				break
			}
			o.rowAt++
			o.row(o.rowAt, o.cells)
			o.rowTimes--
		}
		o.rowAt += o.rowTimes
	case "table-cell", "covered-table-cell":
		o.cell()
	case "p":
		o.paras = max(0, o.paras-1)
	}
}

// cell takes in the present one, as often as it is there.
func (o *ods) cell() {
	text := o.text.String()
	if strings.TrimSpace(text) == "" {
		text = o.value
	}
	c, ok := shown(o.colAt+1, text, o.kind != "" && o.kind != "string")
	for i := range o.colTimes {
		if c.col = o.colAt + 1 + i; ok && !o.covered && c.col <= maxColumn {
			o.cells = append(o.cells, c)
		}
	}
	o.colAt, o.within, o.paras = min(o.colAt+o.colTimes, maxColumn), false, 0
}

// odsValue is what a cell holds, for those of programs that write no text beside it.
func odsValue(e xml.StartElement) string {
	value := attr(e, "value")
	switch attr(e, "value-type") {
	case "percentage":
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			return general(v*100) + "%"
		}
	case "currency":
		return value + " " + attr(e, "currency")
	case "boolean":
		return strings.ToUpper(attr(e, "boolean-value"))
	}
	return cmp.Or(value, attr(e, "string-value"), attr(e, "date-value"), attr(e, "time-value"))
}

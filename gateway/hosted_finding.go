package gateway

import (
	"encoding/json"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// finding is a call of a hosted tool.
type finding struct {
	call  bus.ToolCall
	query string // of a search
	url   string // of a page
	hits  []bus.SearchHit
	page  bus.FetchResult
	err   *bus.Error
}

var (
	errNoCalls = bus.Errorf(bus.CodeBusy, "this has been called as often as one answer may")
	errUnknown = bus.Errorf(bus.CodeForbidden, "this address was neither named nor found before")
	errBlocked = bus.Errorf(bus.CodeForbidden, "pages of this domain are not to be read")
)

// read takes the arguments of the call.
func (f *finding) read() {
	var in struct{ Query, URL string }
	args := f.call.Arguments
	var text string
	if json.Unmarshal(args, &text) == nil { // what is no JSON, or JSON in a text
		args = json.RawMessage(text)
	}
	if err := json.Unmarshal(args, &in); err != nil {
		f.err = bus.Errorf(bus.CodeInvalid, "the arguments are no JSON object")
	}
	if f.call.Name == pageTool {
		f.url = strings.TrimSpace(in.URL)
	} else {
		f.query = strings.TrimSpace(in.Query)
	}
}

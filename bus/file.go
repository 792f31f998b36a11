package bus

import (
	"strconv"
	"strings"
)

// TypeFile is the type of task that makes text of a document. FileRequest -> FileProgress..., FileResult
const TypeFile = "file_read"

// The formats of a FileRequest.
const (
	FileMarkdown = "markdown" // the default: headings, lists, tables and links as Markdown, where the document has them
	FileText     = "text"     // the same without marks
)

// Limits of documents.
const (
	// MaxDocument is the largest document, in bytes: 64 MiB. A worker has it in memory twice, and its
	// payload holds it as base64.
	MaxDocument = 64 << 20
	// MaxFileText is the longest text made of one, in bytes: 16 MiB. What comes beyond is left out, see
	// FileResult.Truncated.
	MaxFileText = 16 << 20
	// maxFileName is the longest FileRequest.Name, in bytes: what file systems take.
	maxFileName = 255
	// maxPage is the highest number of a page that may be asked for.
	maxPage = 1 << 20
	// maxPageSpec is the longest FileRequest.Pages, in bytes.
	maxPageSpec = 1024
)

// FileRequest is the payload of a task of TypeFile. The document travels with it: no worker opens a file of
// its own for it.
type FileRequest struct {
	// Name is the document's, for people and for what its content does not tell, such as the kind of a
	// source file. It is no path, and nothing is looked for by it.
	Name string `json:"name,omitempty"`
	// MediaType is what the submitter takes it for, such as "text/csv; charset=latin1"; may be empty. What
	// the content says comes first; its charset counts where the content does not tell.
	MediaType string `json:"media_type,omitempty"`
	// Content is the document, in base64 on the wire.
	Content []byte `json:"content"`
	// Pages are those to read, such as "1-3,7" or "5-", of a document that has pages; empty for all.
	Pages string `json:"pages,omitempty"`
	// Format is one of the above; empty is FileMarkdown.
	Format string `json:"format,omitempty"`
}

// Validate reports a document that is empty or too large, and what is out of range.
func (r FileRequest) Validate() error {
	switch {
	case len(r.Content) == 0:
		return Errorf(CodeInvalid, "the document is empty")
	case len(r.Content) > MaxDocument:
		return Errorf(CodeTooLarge, "the document has %d bytes, the limit is %d (%d MiB)", len(r.Content), MaxDocument, MaxDocument>>20)
	case len(r.Name) > maxFileName || strings.ContainsAny(r.Name, "/\\\x00\n"):
		return Errorf(CodeInvalid, "the name of the document: want at most %d bytes, and no path", maxFileName)
	case len(r.MediaType) > maxFileName:
		return Errorf(CodeInvalid, "the media type has %d bytes, want at most %d", len(r.MediaType), maxFileName)
	case r.Format != "" && r.Format != FileMarkdown && r.Format != FileText:
		return Errorf(CodeInvalid, "format %q: want %s or %s", r.Format, FileMarkdown, FileText)
	}
	_, err := ParsePages(r.Pages)
	return err
}

// Pages are the pages of a document that are asked for; none means all.
type Pages []PageRange

// PageRange are pages From to To, counted from 1; a To of 0 is the last one.
type PageRange struct{ From, To int }

// ParsePages reads "1-3,7,9-". Errors have CodeInvalid.
func ParsePages(s string) (Pages, error) {
	bad := func() error {
		return Errorf(CodeInvalid, "pages %q: want numbers and ranges from 1 on, such as 1-3,7 or 5-", s)
	}
	if s == "" {
		return nil, nil
	}
	if len(s) > maxPageSpec {
		return nil, Errorf(CodeInvalid, "the pages have %d bytes, want at most %d", len(s), maxPageSpec)
	}
	var all Pages
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.Atoi(first)
		if err != nil || from < 1 || from > maxPage {
			return nil, bad()
		}
		r := PageRange{from, from}
		if ranged && last == "" {
			r.To = 0
		} else if ranged {
			if r.To, err = strconv.Atoi(last); err != nil || r.To < from || r.To > maxPage {
				return nil, bad()
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// Has reports whether page n, counted from 1, is among them.
func (p Pages) Has(n int) bool {
	for _, r := range p {
		if n >= r.From && (r.To == 0 || n <= r.To) {
			return true
		}
	}
	return len(p) == 0
}

// FileProgress is a piece of the output of a task of TypeFile: what takes long, for people. Most tasks have none.
type FileProgress struct {
	Status string `json:"status"`
}

// FileResult is the result of a task of TypeFile.
type FileResult struct {
	// Text is the document in Format, in UTF-8, with lines ended by a line feed. Before the text of each
	// page stands a line such as "[page 3]", where there are pages; slides are.
	Text   string `json:"text"`
	Format string `json:"format"`
	// Kind is what the document was found to be: a media type without parameters.
	Kind string `json:"kind"`
	// Charset is what a plain text was written in, such as "utf-8" or "windows-1252".
	Charset string `json:"charset,omitempty"`
	// Title and Author are what the document says of itself, where it does.
	Title  string `json:"title,omitempty"`
	Author string `json:"author,omitempty"`
	// Pages is how many the whole document has; 0 where it has none. PagesEmpty are those read that hold no
	// text: pictures, or nothing.
	Pages      int   `json:"pages,omitempty"`
	PagesEmpty []int `json:"pages_empty,omitempty"`
	// Words is how many words Text has.
	Words int `json:"words"`
	// Truncated tells that the text is longer than MaxFileText, and cut there, or that something of a spreadsheet is
	// left out, of which the text tells.
	Truncated bool `json:"truncated,omitempty"`
}

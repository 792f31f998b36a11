package web_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
	"github.com/mycoswarm/mycoswarm/handlers/web"
)

const docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

// A page that is a document is read as one, by what reads documents.
func TestDocument(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("..", "file", "testdata", "report.docx"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.page("/report", docx, string(content))
	s.page("/kept", "application/octet-stream", string(content))
	s.page("/noise", "application/octet-stream", "\x00\x01\x02")
	s.page("/lie", docx, "\x89PNG\r\n\x1a\n")
	s.page("/broken", docx, string(content[:len(content)/2]))
	reader := file.New(file.Config{})
	h := s.open(t, func(c *web.Config) { c.Document = reader.Read })
	for _, format := range []string{bus.FormatMarkdown, bus.FormatText} {
		want, err := reader.Read(t.Context(), bus.FileRequest{Content: content, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		r, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + "/report", Format: format})
		if err != nil || r.Text != want.Text || r.Title != want.Title || r.Byline != want.Author || r.Format != format || r.ContentType != docx ||
			r.Bytes != len(content) || r.Truncated || r.URL != s.URL+"/report" || want.Title == "" {
			t.Errorf("%s: %+v, error %v; want as of the file: %+v", format, r, err, want)
		}
	}
	for name, media := range map[string]string{
		"talk.pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation", "talk.odp": "application/vnd.oasis.opendocument.presentation",
		"budget.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "budget.ods": "application/vnd.oasis.opendocument.spreadsheet",
		"report.odt": "application/vnd.oasis.opendocument.text", "report.epub": "application/epub+zip",
	} {
		content, err := os.ReadFile(filepath.Join("..", "file", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for path, media := range map[string]string{"/told/" + name: media, "/kept/" + name: "application/octet-stream"} {
			s.page(path, media, string(content))
			if r, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + path}); err != nil || r.Title != "Bees in the garden" || r.Byline != "Ada Müller" {
				t.Errorf("%s as %s: %+v, error %v", name, media, r, err)
			}
		}
	}
	// Servers say so of what is to be kept in a file, and of what they know no type of.
	if r, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + "/kept", MaxBytes: 20}); err != nil || r.Bytes != len(content) || r.Title == "" {
		t.Errorf("to be kept: %+v, error %v", r, err)
	}
	r, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + "/report", MaxBytes: 20}) // of the text
	if err != nil || len(r.Text) > 20 || r.Text == "" || !r.Truncated {
		t.Errorf("20 bytes: %+v, error %v", r, err)
	}
	for path, says := range map[string]string{"/lie": "another kind of document than it says: the document is image/png", "/broken": "is broken"} {
		_, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + path})
		if codeOf(err) != bus.CodeFailed || bus.IsRetry(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want a final one that says %q", path, err, says)
		}
	}
}

// A document is read whole, however much of a page is asked for, and not at all where it is larger than any.
func TestLargeDocument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.page("/large", "application/pdf", strings.Repeat("%", bus.DefaultPage+1))
	s.page("/huge", "application/pdf", strings.Repeat("%", bus.MaxPage+1))
	s.page("/untold", "", "%PDF-1.7 "+strings.Repeat("%", bus.DefaultPage))
	s.page("/sniffed", "", "%PDF-1.7 "+strings.Repeat("%", 1000))
	var read []int
	h := s.open(t, func(c *web.Config) {
		c.Document = func(_ context.Context, r bus.FileRequest) (bus.FileResult, error) {
			read = append(read, len(r.Content))
			return bus.FileResult{Text: "text\n", Truncated: len(r.Content) < 2000}, nil
		}
	})
	for path, truncated := range map[string]bool{"/large": false, "/untold": false, "/sniffed": true} {
		if r, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + path}); err != nil || r.Text != "text\n" || r.Truncated != truncated {
			t.Errorf("%s: %+v, error %v", path, r, err)
		}
	}
	for u, want := range map[string]struct {
		code   bus.Code
		format string
		says   string
	}{
		"/huge":    {bus.CodeTooLarge, "", "of more than 16777216 bytes"},
		"/large":   {bus.CodeFailed, bus.FormatRaw, `the page is "application/pdf"`},
		"/sniffed": {bus.CodeFailed, bus.FormatRaw, `the page is "application/pdf"`},
	} {
		_, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL + u, Format: want.format})
		if codeOf(err) != want.code || bus.IsRetry(err) || !strings.Contains(fmt.Sprint(err), want.says) {
			t.Errorf("%s: error %v, want %+v", u, err, want)
		}
	}
	slices.Sort(read)
	if !slices.Equal(read, []int{1009, bus.DefaultPage + 1, bus.DefaultPage + 9}) {
		t.Errorf("documents of %v bytes were read, want the three, whole", read)
	}
}

package file_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
)

func TestDOCX(t *testing.T) {
	h := setup(t, file.Config{})
	for format, name := range map[string]string{bus.FileMarkdown: "report.md", bus.FileText: "report.txt"} {
		got, err := read(t, h, bus.FileRequest{Name: "report.docx", Content: fixture(t, "report.docx"), Format: format})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(fixture(t, name)), got.Text); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
		if got.Title != "Bees in the garden" || got.Author != "Ada Müller" || got.Format != format {
			t.Errorf("got %+v", got)
		}
	}
}

// A document in which changes are tracked says what it says once they are taken.
func TestDOCXTracksChanges(t *testing.T) {
	h := setup(t, file.Config{})
	got, err := read(t, h, bus.FileRequest{Content: packed(t, `<document><p><moveFrom><r><t>moved</t></r></moveFrom></p>`+
		`<p><r><t>kept, </t></r><del><r><delText>old</delText></r></del><ins><r><t>new</t></r></ins></p><p><moveTo><r><t>moved</t></r></moveTo></p></document>`)})
	if want := "kept, new\n\nmoved\n"; err != nil || got.Text != want {
		t.Errorf("got %q, error %v, want %q", got.Text, err, want)
	}
}

// A hyphen at which no line ends is a part of its word: A-100 is not A100.
func TestDOCXHyphens(t *testing.T) {
	h := setup(t, file.Config{})
	got, err := read(t, h, bus.FileRequest{Content: packed(t, `<document><p><r><t>A</t><noBreakHyphen/><t>100, Donau</t><softHyphen/><t>dampfer</t></r></p></document>`)})
	if want := "A-100, Donaudampfer\n"; err != nil || got.Text != want {
		t.Errorf("got %q, error %v, want %q", got.Text, err, want)
	}
}

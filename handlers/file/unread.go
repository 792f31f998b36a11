package file

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// isLocked reports whether content is a document of Office that has a password: an OLE file that holds the encrypted one
// in a stream of this name ([MS-OFFCRYPTO], 2.3.4.4).
func isLocked(content []byte) bool {
	return bytes.HasPrefix(content, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")) && bytes.Contains(content, oleName("EncryptedPackage"))
}

// older are kinds that office programs make others of, each with what people call it and the suffix of one that is read.
var older = map[string]struct{ called, suffix string }{
	"application/msword":            {"DOC, of an older Word", "docx"},
	"application/vnd.ms-excel":      {"XLS, of an older Excel", "xlsx"},
	"application/vnd.ms-powerpoint": {"PPT, of an older PowerPoint", "pptx"},
	"text/rtf":                      {"RTF", "docx"},
}

// oleKind is an OLE file, whatever for.
const oleKind = "application/x-ole-storage"

// olderStreams are the streams that an OLE file of a kind has, by their names in it. A letter may have a workbook within.
var olderStreams = []struct{ name, kind string }{
	{"WordDocument", "application/msword"},
	{"PowerPoint Document", "application/vnd.ms-powerpoint"},
	{"Workbook", "application/vnd.ms-excel"},
	{"Book", "application/vnd.ms-excel"},
}

// olderKind is which kind an OLE file is, where that does not show at its beginning; any other kind is itself.
func olderKind(kind string, content []byte) string {
	for _, s := range olderStreams {
		if kind == oleKind && bytes.Contains(content, oleName(s.name)) {
			return s.kind
		}
	}
	return kind
}

// oleName is the name of a stream as the directory of an OLE file has it, with what ends it ([MS-CFB], 2.6.1).
func oleName(s string) []byte {
	name := make([]byte, 0, 2*len(s)+2)
	for _, c := range []byte(s + "\x00") {
		name = append(name, c, 0)
	}
	return name
}

// errKind is the error for a document of a kind that is not read.
func errKind(name, kind string) *bus.Error {
	o, known := older[kind]
	if known {
		kind += " (" + o.called + ")"
	}
	e := bus.Errorf(bus.CodeInvalid, "%s is %s: PDF, DOCX, ODT, PPTX, ODP, XLSX, ODS, EPUB, HTML and plain text are read", named(name), kind)
	switch {
	case known:
		return e.WithHint("%s", convert(o.suffix, name))
	case strings.HasPrefix(kind, "image/"):
		return e.WithHint("a model that sees looks at it: myco ask --image FILE PROMPT")
	}
	return e.WithHint("save it as PDF, DOCX or text")
}

// convert is the command that makes a document of another kind of one, with LibreOffice.
func convert(suffix, name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return "soffice --convert-to " + suffix + " " + bus.ShellWord(cmp.Or(name, "FILE"))
}

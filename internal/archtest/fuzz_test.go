package archtest_test

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// foreign are the parsers of what others send, each with the fuzz test that it needs.
var foreign = map[string]string{
	"mDNS records":                "node/discovery.FuzzParseTXT",
	"join tokens":                 "internal/identity.FuzzParseToken",
	"join messages":               "internal/identity.FuzzJoinMessages",
	"roster records":              "internal/identity.FuzzImport",
	"certificates":                "internal/identity.FuzzPeerCertificate",
	"the handing over of the key": "internal/identity.FuzzHandover",
	"messages of nodes":           "sched.FuzzMessages",
	"subject tokens":              "bus.FuzzUntoken",
	"fields of later versions":    "bus.FuzzUnknownFields",
	"queue keys":                  "bus.FuzzParseKey",
	"calls of JetStream":          "bus/store.FuzzCheckWatch",
	"tasks over HTTP":             "gateway.FuzzTask",
	"requests in other dialects":  "gateway.FuzzDialects",
	"files of batches":            "gateway/batch.FuzzLines",
	"streams of engines":          "internal/engine.FuzzStream",
	"progress of engines":         "internal/engine.FuzzPull",
	"errors of engines":           "internal/engine.FuzzErrorText",
	"model files":                 "internal/engine/demo/gguf.FuzzParse",
	"documents":                   "handlers/file.FuzzRead",
	"pages of the web":            "handlers/web.FuzzRead",
	"answers of search engines":   "handlers/web.FuzzSearch",
	"what nvidia-smi says":        "node.FuzzParseSMI",
	"files of AMD's GPUs":         "node.FuzzAMD",
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// Every parser of foreign bytes has a fuzz test, every fuzz test is in the list above, and has a
// corpus that every run of the tests goes through.
func TestForeignBytesAreFuzzed(t *testing.T) {
	t.Parallel()
	files := tracked(t)
	var found []string
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range fuzzTarget.FindAllSubmatch(read(t, f), -1) {
			dir, name := path.Dir(filepath.ToSlash(f)), string(m[1])
			found = append(found, dir+"."+name)
			corpus := dir + "/testdata/fuzz/" + name + "/"
			if !slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(filepath.ToSlash(f), corpus) }) {
				t.Errorf("%s has no corpus in %s: run task fuzz, and commit what it finds", name, corpus)
			}
		}
	}
	for what, target := range foreign {
		if !slices.Contains(found, target) {
			t.Errorf("%s: there is no %s", what, target)
		}
	}
	for _, target := range found {
		listed := false
		for _, f := range foreign {
			listed = listed || f == target
		}
		if !listed {
			t.Errorf("%s is not in the list of parsers of foreign bytes", target)
		}
	}
}

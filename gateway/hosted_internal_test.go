package gateway

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What a model gets to read of what was found is no longer than it may be, its marks included, and no shorter than it could.
func TestFindingsFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 4000)
	for most := leastFind; most < 2000; most += 7 {
		page := &finding{call: bus.ToolCall{Name: pageTool}, page: bus.FetchResult{URL: "https://a.example", Title: "A", Text: long}}
		hits := &finding{call: bus.ToolCall{Name: searchTool}, hits: []bus.SearchHit{{URL: "https://a.example", Title: "A", Content: "b"}, {URL: "https://c.example", Title: "C", Content: long}}}
		for _, f := range []*finding{page, hits} {
			f.fit(most)
			if n := len(f.text()); n > most || n < most-4 {
				t.Fatalf("%s: %d bytes, want at most %d", f.call.Name, n, most)
			}
		}
	}
}

package web

import (
	"net/http"
	"strings"
	"testing"
)

// What was to be looked for in secret is not sent on in the clear.
func TestSearchStaysSecret(t *testing.T) {
	t.Parallel()
	at, err := ParseSearch("https://who:secret@find.example")
	if err != nil {
		t.Fatal(err)
	}
	s := NewSearch(SearchConfig{URL: at})
	for to, want := range map[string]string{
		"https://find.example/searxng/search": "", "https://find.example:8443/search": "",
		"http://find.example/search": "from https to http",
	} {
		var requests []*http.Request
		for _, url := range []string{"https://find.example/search", to} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			requests = append(requests, r)
		}
		got := ""
		if err := s.redirect("cats")(requests[1], requests[:1]); err != nil {
			got = err.Error()
		}
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("to %s: error %q, want %q", to, got, want)
		}
	}
}

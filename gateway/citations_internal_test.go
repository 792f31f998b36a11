package gateway

import (
	"strings"
	"testing"
	"time"
)

// Each place that names a page is told, in letters, in about the time that it takes to read the text once: a model may repeat
// itself.
func TestCitationsOfALongAnswer(t *testing.T) {
	t.Parallel()
	const page, times = "http://a", 1 << 20
	found := make(chan []citation, 1)
	go func() {
		found <- seen{{URL: page}, {URL: "http://b"}, {URL: page}}.citations(strings.Repeat("é "+page, times))
	}()
	select {
	case all := <-found:
		if last := (citation{URL: page, Start: 10*times - 8, End: 10 * times}); len(all) != times || all[len(all)-1] != last {
			t.Errorf("%d citations, the last %+v, want %d, %+v", len(all), all[len(all)-1], times, last)
		}
	case <-time.After(time.Minute):
		t.Fatal("it takes minutes")
	}
	got := seen{{URL: page}, {URL: page + "/b"}}.citations("Ärger: http://a/b, http://a. ☃ http://a")
	if want := []citation{{page, "", 19, 27}, {page, "", 31, 39}, {page + "/b", "", 7, 17}}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

//go:build e2e && linux

package e2e_test

import (
	"context"
	_ "embed"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// axe is Deque's axe-core 4.14.1, from npm, under the MPL 2.0.
//
//go:embed testdata/axe/axe.min.js
var axe string

// accessible fails for each thing on the page, as it is shown, light and dark, that axe finds a person may not reach, read
// or hear who uses a keyboard alone, a screen reader, a voice, or weak eyes.
func (x *webPage) accessible(what string) {
	x.t.Helper()
	defer x.scheme("")
	for _, scheme := range []string{"light", "dark"} {
		x.scheme(scheme)
		for _, v := range eval[[]string](x, strings.Replace(axeRun, "AXE", axe, 1)) {
			x.t.Errorf("%s, %s: %s", what, scheme, v)
		}
	}
}

// axeRun looks when what moves has come to rest, for a color half way is none of the page's.
const axeRun = `AXE
;Promise.allSettled(document.getAnimations().map(a => a.finished)).then(() => axe.run(document, {preload: false, resultTypes: ["violations"]})).then(r =>
  r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.failureSummary + "\n" + n.html)))`

// scheme has the page drawn in the colors of those who like it "light" or "dark".
func (x *webPage) scheme(s string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
	defer cancel()
	_, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s}},
		})
	})
	if err != nil {
		x.t.Fatalf("draw the page %q: %v", s, err)
	}
}

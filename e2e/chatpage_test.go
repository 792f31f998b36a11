//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// asks puts words into the question and sends them.
func (x *webPage) asks(words string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
	defer cancel()
	field := chromedp.ID("question")
	if err := chromedp.Do(ctx, chromedp.WaitVisible(field), chromedp.SendKeys(field, words+"\r")); err != nil {
		x.t.Fatalf("ask: %v", err)
	}
}

// answers is the text of the answers on the page, in their order.
func (x *webPage) answers() []string {
	x.t.Helper()
	return eval[[]string](x, "[...document.querySelectorAll('.turn.assistant')].map(e => e.textContent)")
}

// awaits waits until the last answer has all of words, and is the n-th.
func (x *webPage) awaits(n int, words ...string) {
	x.t.Helper()
	harness.Poll(x.t, harness.Patience, fmt.Sprintf("answer %d has %q", n, words), func() string {
		all := x.answers()
		if len(all) != n {
			return fmt.Sprintf("there are %d: %.300q", len(all), all)
		}
		for _, w := range words {
			if !strings.Contains(all[n-1], w) {
				return fmt.Sprintf("%.300q", all[n-1])
			}
		}
		return ""
	})
}

// holds waits until an expression is true on the page.
func (x *webPage) holds(js string) {
	x.t.Helper()
	harness.Poll(x.t, harness.Patience, js, func() string {
		if !eval[bool](x, js) {
			return eval[string](x, "document.body.innerText.slice(0, 500)")
		}
		return ""
	})
}

// click clicks the last element of a selector.
func (x *webPage) click(selector string) {
	x.t.Helper()
	eval[bool](x, fmt.Sprintf("([...document.querySelectorAll(%q)].at(-1).click(), true)", selector))
}

// A browser asks the swarm, at a node without an engine: the answer is Markdown, its HTML words; it goes on where the
// node that writes it is killed, and the conversation is there after a reload.
func TestChatInABrowser(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	said := "**Two** `lines` <img src=x onerror=document.title='owned'>\n\n- [one](https://example.org/)\n- [two](javascript:alert(1))\n\n| a | b |\n|---|--:|\n| 1<br>one | 2 |\n" +
		"\n- [x] done\n- [ ] *not* yet\n\n<think>\none\n</think>\n\n[amp](https://example.org/?a=1&amp;b=2) &hellip; &constructor;\n"
	deep := strings.Repeat(">", 3000) + "deep\n\n" + strings.Repeat("*", 600) + "strong" + strings.Repeat("*", 600)
	var slow atomic.Bool
	script := func(r engine.Request) engine.Script {
		if slow.Load() {
			return engine.Script{Words: scriptedWords(r.Marker), Between: 50 * time.Millisecond}
		}
		if r.Marker == "deep" {
			return engine.Script{Words: []string{deep}}
		}
		return engine.Script{Words: strings.SplitAfter(said, " ")}
	}
	asked := s.Found(t, "laptop")
	x := openPage(t, asked.Info.HTTPURL+"/ui/chat")
	x.sees("#talk", "No machine of this swarm has a model yet", "myco pull")
	workers := map[string]*harness.Node{}
	for _, name := range []string{"tower", "attic"} {
		workers[name] = s.Join(t, asked, name, "--engine", startEngine(t, s, engine.Config{Name: name, Ledger: &ledger, Script: script}).URL())
	}
	harness.Settle(t, asked, workers["tower"], workers["attic"])
	for name := range workers {
		awaitModel(t, asked, name, engine.Model, true)
	}
	eval[bool](x, "dispatchEvent(new Event('focus'))")
	x.sees("#model", engine.Model)
	x.sees("#talk", "Ask anything")
	x.accessible("an empty conversation")
	x.asks("What is there?")
	x.sees(".turn.user", "What is there?")
	x.sees(".turn.assistant", "Two lines <img", "one", "two", engine.Model, "first word after", "Again")
	for what, want := range map[string]int{
		"strong": 1, "code": 1, "td": 2, "td br": 1, "li": 4, ".task": 2, "li p": 0, "a": 2, "a[href$='?a=1&b=2']": 1, "[align=right]": 2, "img": 0,
	} {
		if n := eval[int](x, fmt.Sprintf("document.querySelectorAll(%q).length", ".turn.assistant "+what)); n != want {
			t.Errorf("the answer has %d %s, want %d", n, what, want)
		}
	}
	x.sees(".turn.assistant", "☑ done", "☐ not yet", "<think>\none\n</think>", "… &constructor;")

	for _, width := range []int64{1600, 400} {
		x.resize(width, 800)
		x.accessible(fmt.Sprintf("a conversation, %d pixels wide", width))
		if wide := eval[int](x, "document.documentElement.scrollWidth"); int64(wide) > width {
			t.Errorf("in a window of %d pixels the page has %d", width, wide)
		}
	}
	slow.Store(true)
	x.asks(engine.Prompt("killed"))
	harness.Poll(t, harness.Patience, "the answer has begun", func() string {
		if v := eval[string](x, "document.querySelectorAll('.turn.assistant')[1]?.textContent ?? ''"); !strings.Contains(v, scriptedWords("killed")[3]) {
			return fmt.Sprintf("%q", v)
		}
		return ""
	})
	first := ""
	for _, r := range ledger.Runs() {
		if r.Marker == "killed" {
			first = r.Engine
		}
	}
	workers[first].Kill()
	whole := strings.TrimSpace(strings.Join(scriptedWords("killed"), ""))
	harness.Poll(t, harness.Patience, "the answer is whole", func() string {
		if v := eval[string](x, "document.querySelectorAll('.turn.assistant')[1].textContent"); !strings.Contains(v, whole) || !strings.Contains(v, "first word after") {
			return fmt.Sprintf("%q, want %q", v, whole)
		}
		return ""
	})

	other := map[string]string{"tower": "attic", "attic": "tower"}[first]
	x.sees(".turn:last-child", "node "+first+" was lost", other+" · "+engine.Model)
	if v := x.answers()[1]; strings.Count(v, scriptedWords("killed")[0]) != 1 {
		t.Errorf("the answer has words twice: %q", v)
	}
	slow.Store(false)
	x.asks(engine.Prompt("deep"))
	x.awaits(3, "deep", "strong", "first word after") // and does not break the page

	x.goTo(asked.Info.HTTPURL + "/ui/chat")
	x.sees("#talk", "What is there?", "Two lines", whole)
	if left := eval[float64](x, "document.documentElement.scrollHeight - innerHeight - scrollY"); left > 2 {
		t.Errorf("after a reload the page is %v pixels before its end", left)
	}
	x.sees("#model", engine.Model)
	x.click("#new")
	x.sees("#talk", "Ask anything")
	if title := eval[string](x, "document.title"); strings.Contains(title, "owned") {
		t.Error("the page has run what a model said")
	}
	x.quiet("")
}

// sideways is a JPEG of 64 to 32 pixels, red above and blue below, as a phone writes it that was held upright: as 32 to 64, and with
// a note in its EXIF (TIFF 6.0, tag 0x0112) that it is to be turned.
func sideways(t *testing.T) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 32, 64))
	for y := range 64 {
		for x := range 32 {
			if x < 16 {
				img.Set(x, y, color.RGBA{255, 0, 0, 255})
			} else {
				img.Set(x, y, color.RGBA{0, 0, 255, 255})
			}
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	// 6: by a quarter, clockwise.
	note := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
	const start = 2 // bytes, the mark of a JPEG
	return slices.Concat(out.Bytes()[:start], []byte{0xff, 0xe1, 0, byte(len(note) + 2)}, []byte(note), out.Bytes()[start:])
}

// A question goes with pictures where the model sees: upright, and made no larger than that.
func TestPicturesInABrowser(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	sees := func(r engine.Request) engine.Script {
		out := "I see"
		if len(r.Pictures) == 0 {
			out += fmt.Sprintf(" %q", r.Prompt)
		}
		for _, p := range r.Pictures {
			img, kind, err := image.Decode(bytes.NewReader(p))
			if err != nil {
				return engine.Script{Words: []string{err.Error()}}
			}
			b := img.Bounds()
			red, _, blue, _ := img.At(b.Dx()/2, b.Dy()/4).RGBA()
			out += fmt.Sprintf(" %s of %d to %d, red above %v;", kind, b.Dx(), b.Dy(), red > 2*blue)
		}
		return engine.Script{Words: []string{out}}
	}
	a := s.Found(t, "laptop", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: sees, Sees: true}).URL())
	awaitModel(t, a, "laptop", engine.Model, true)
	large := filepath.Join(t.TempDir(), "large.png")
	var data bytes.Buffer
	if err := png.Encode(&data, image.NewGray(image.Rect(0, 0, 3136, 1000))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, data.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	turned := filepath.Join(t.TempDir(), "turned.jpg")
	if err := os.WriteFile(turned, sideways(t), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none.png")
	if err := os.WriteFile(none, []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := openPage(t, a.Info.HTTPURL+"/ui/chat")
	harness.Poll(t, harness.Patience, "pictures are offered", func() string {
		if !eval[bool](x, "document.querySelector('#files').accept.includes('image/')") {
			return "they are not"
		}
		return ""
	})
	ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.SetUploadFiles(chromedp.ID("files"), []string{large, turned, none})); err != nil {
		t.Fatal(err)
	}
	x.sees("#attached", "large.png", "turned.jpg")
	x.sees("#state", "none.png", "cannot read it")
	x.asks("What is that?")
	x.sees(".turn.user", "What is that?", "large.png")
	x.sees(".turn.assistant", "I see jpeg of 1568 to 500, red above false; jpeg of 64 to 32, red above true;")
	if shown := eval[string](x, "[...document.querySelectorAll('.turn canvas')].map(c => c.width + ' to ' + c.height).join()"); shown != "160 to 51,64 to 32" {
		t.Errorf("the pictures are shown as %s", shown)
	}

	// It is not kept: after a reload the model is told of it.
	x.goTo(a.Info.HTTPURL + "/ui/chat")
	x.sees("#model", engine.Model)
	x.click(".turn.assistant button") // Again
	x.awaits(1, `I see "What is that?\n(picture large.png)\n(picture turned.jpg)"`)
	x.quiet("")
}

// Where a key is wanted the page asks for one: any that programs may use. It ends with the key.
func TestChatInABrowserWithAKey(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	hang := func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"begun "}, Ending: engine.Hang}
	}
	a := s.Found(t, "laptop", "--http-key", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: hang}).URL())
	awaitModel(t, a, "laptop", engine.Model, true)
	var k bus.NewKey
	a.JSON(t, &k, "key", "create", "--name", "phone")
	x := openPage(t, a.Info.HTTPURL+"/ui/chat")
	give := func(key string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(x.ctx, harness.Patience)
		defer cancel()
		field := chromedp.ID("key")
		if err := chromedp.Do(ctx, chromedp.WaitVisible(field), chromedp.SendKeys(field, key+"\r")); err != nil {
			t.Fatalf("give a key: %v", err)
		}
	}
	give("wrong")
	x.sees("#wrong", "the key is missing or wrong")
	if wrong := eval[string](x, "document.getElementById('wrong').textContent"); strings.Contains(wrong, "Authorization") {
		t.Errorf("a person with a phone is to send a header: %s", wrong)
	}
	eval[bool](x, "(Storage.prototype.setItem = () => { throw new Error('no room') }, true)")
	give(" \u200b" + k.Key + "ж") // as it may come with a paste, into a browser that keeps nothing
	x.sees("#model", engine.Model)
	x.asks("hello")
	x.sees(".turn.assistant", "begun")
	x.click("#stop")
	x.sees(".turn.assistant", "begun", "Stopped.", "Again")
	x.sees("#stays", "no room")
	harness.Poll(t, harness.Patience, "the engine's work ends", func() string {
		for _, r := range ledger.Runs() {
			if r.End.IsZero() {
				return fmt.Sprintf("%+v", r)
			}
		}
		return ""
	})
	if r := a.Myco(t, "key", "revoke", k.ID); r.Code != 0 {
		t.Fatal(r)
	}
	x.click(".turn.assistant button")
	x.sees("#wrong", "was revoked")
	u, err := url.Parse(a.Info.HTTPURL)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get(u.JoinPath("/ui/chat/swarm").String()); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("what the page asks, without a key: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	x.quiet("401")
}

// What waits tells its place, then who answered. An answer is there after a reload, and can be asked for again where it is
// stopped, or the daemon has ended. Each tab goes on with its own conversation.
func TestChatInABrowserGoesOn(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	gate := make(chan struct{})
	script := func(r engine.Request) engine.Script {
		switch r.Marker {
		case "held":
			return engine.Script{Words: []string{"held"}, Gate: gate}
		case "hangs":
			return engine.Script{Words: []string{"begun "}, Ending: engine.Hang}
		}
		return engine.Script{Words: []string{"said ", r.Marker}}
	}
	flags := []string{"--slots", "1", "--engine", startEngine(t, s, engine.Config{Name: "laptop", Ledger: &ledger, Script: script}).URL()}
	a := s.Found(t, "laptop", flags...)
	awaitModel(t, a, "laptop", engine.Model, true)
	at := a.Info.HTTPURL + "/ui/chat"
	x := openPage(t, at)
	x.sees("#model", engine.Model)
	c := a.Dial(t)
	if _, err := c.Enqueue(t.Context(), bus.Task{Type: bus.TypeInference, Model: engine.Model, Payload: []byte(fmt.Sprintf(`{"version":1,"prompt":%q}`, engine.Prompt("held")))}); err != nil {
		t.Fatal(err)
	}
	harness.Poll(t, harness.Patience, "the slot is taken", func() string {
		if len(ledger.Runs()) == 0 {
			return "it is free"
		}
		return ""
	})
	x.asks(engine.Prompt("first"))
	x.sees("#state", "waiting, 1 in the queue")
	close(gate)
	x.awaits(1, "said first", "laptop · "+engine.Model)

	x.asks(engine.Prompt("hangs"))
	x.awaits(2, "begun")
	x.goTo(at)
	x.sees("#model", engine.Model)
	x.awaits(2, "begun")
	x.click("#stop")
	x.awaits(2, "begun", "Stopped.", "Again")

	ctx, end := chromedp.NewContext(x.ctx)
	defer end()
	if err := chromedp.Do(ctx); err != nil { // opens the tab, which lives as long as this context
		t.Fatal(err)
	}
	y := &webPage{t: t, ctx: ctx}
	y.goTo(at)
	y.sees("#model", engine.Model)
	y.sees("#talk", "said first")
	y.click("#new")
	y.asks(engine.Prompt("second"))
	y.awaits(1, "said second", "Again")
	x.goTo(at)
	x.sees("#model", engine.Model)
	x.sees("#talk", "said first", "hangs")

	x.click(".turn button") // Again
	x.awaits(2, "begun")
	if on := eval[string](x, "document.activeElement.id"); on != "stop" {
		t.Errorf("the focus is on %q, want the button that stops", on)
	}
	flags = append(flags, "--http-listen", strings.TrimPrefix(a.Info.HTTPURL, "http://"))
	a.Kill()
	x.sees("#state", "not reached. Trying again")
	x.awaits(2, "begun")
	a.Start(t, flags...)
	x.awaits(2, "begun", "The node has no more of this answer", "Again")
	a.Kill()
	x.click(".turn button")
	x.awaits(2, "does not answer. Does mycod run there?", "Again")
	a.Start(t, flags...)
	harness.Poll(t, harness.Patience, "the model is there again", func() string {
		eval[bool](x, "(dispatchEvent(new Event('focus')), true)")
		if state := eval[string](x, "document.querySelector('#state').textContent + document.querySelector('#model').value"); state != engine.Model {
			return state
		}
		return ""
	})
	x.asks(engine.Prompt("third"))
	x.awaits(3, "said third")
	x.quiet("Failed to load resource") // while the node was not there
}

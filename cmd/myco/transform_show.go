package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// draft is what a model writes of a part, while it does.
type draft struct {
	of      partOf
	say     func(text string)
	attempt int
	marks   *unmarking
	around  *trimming
	text    strings.Builder
}

// begin is called before an answer, and before one that begins anew.
func (d *draft) begin() {
	d.attempt, d.marks, d.around = 0, unmark(d.of.whole()), &trimming{of: d.of}
	d.text.Reset()
}

// hear takes a piece of the answer in.
func (d *draft) hear(c bus.Chunk) {
	if c.Attempt != d.attempt { // another node that goes on with the answer has the same
		d.begin()
		d.attempt = c.Attempt
	}
	var piece bus.InferenceChunk
	if json.Unmarshal(c.Data, &piece) != nil || piece.Text == "" {
		return
	}
	if more := d.around.add(d.marks.add(piece.Text)); more != "" {
		d.text.WriteString(more)
		d.say(d.text.String())
	}
}

// all is the text of a whole answer.
func (d *draft) all(answer string) string {
	d.begin()
	return d.around.add(d.marks.of(answer)) + d.around.end()
}

// written is what has come of a part.
type written struct {
	text  string
	whole bool
	held  bool // it is printed once it is whole
	shown string
}

// write takes in what part i has become so far, or is as a whole, and prints what can be: in a terminal the part whose turn it is
// as it comes, elsewhere, where what was printed is not to be taken back, once it is whole.
func (t *transform) write(i int, text string, whole bool) {
	t.parts[i].text, t.parts[i].whole = text, whole
	for t.turn < len(t.parts) {
		p := &t.parts[t.turn]
		if !p.whole && (p.held || t.json || t.columns == nil) {
			return
		}
		t.show(p)
		if !p.whole {
			return
		}
		*p = written{}
		t.turn++
		t.tellLater()
	}
}

// show prints what there is of a part and was not printed. One that began anew, and comes as before, goes on where it was.
func (t *transform) show(p *written) {
	switch {
	case strings.HasPrefix(p.text, p.shown):
		t.print(p.text[len(p.shown):])
	case !p.whole && strings.HasPrefix(p.shown, p.text):
		return
	default:
		if t.column {
			t.print("\n")
		}
		which := "the text"
		if len(t.parts) > 1 {
			which = fmt.Sprintf("part %d", t.turn+1)
		}
		fmt.Fprintf(t.err, "[%s is written anew: what is above of it is void]\n", which)
		t.print(p.text)
	}
	p.shown = p.text
}

// print prints text behind what is printed.
func (t *transform) print(text string) {
	if t.json {
		t.view.Text += text
		return
	}
	t.foreign(text)
	if text != "" {
		t.column = t.columns != nil && !strings.HasSuffix(text, "\n")
	}
}

// hold has part i, which is too much for the model, printed once it is whole, and those behind it, which will be too.
func (t *transform) hold(i int) {
	for ; i < len(t.parts); i++ {
		t.parts[i].held = true
	}
}

// tell tells something beside the text, in a terminal between two parts of it.
func (t *transform) tell(line string) {
	t.later = append(t.later, line)
	t.tellLater()
}

func (t *transform) tellLater() {
	if t.columns != nil && (t.column || t.turn < len(t.parts) && t.parts[t.turn].shown != "") {
		return
	}
	for _, line := range t.later {
		t.hint("%s", line)
	}
	t.later = nil
}

// finish ends what was printed, and says how much it is where err is why it is not all.
func (t *transform) finish(err error) {
	begun := t.turn < len(t.parts) && t.parts[t.turn].shown != ""
	if t.column {
		t.print("\n")
	}
	for _, line := range t.later {
		t.hint("%s", line)
	}
	if err == nil || len(t.parts) == 1 || t.turn == 0 && !begun || t.json || t.lost != nil {
		return
	}
	more := ""
	if begun {
		more = ", and the beginning of one more"
	}
	t.hint("[%d of %d parts are printed%s]", t.turn, len(t.parts), more)
}

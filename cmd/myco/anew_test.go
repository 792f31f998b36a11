package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// to runs the command with its output to w, a terminal where it has columns.
func (d *daemon) to(w io.Writer, columns func() int, args ...string) outcome {
	d.t.Helper()
	var errs bytes.Buffer
	code := run(d.t.Context(), append([]string{"--data-dir", d.dir}, args...), streams{
		in: strings.NewReader(""), out: w, err: &errs, columns: columns, environ: []string{"XDG_STATE_HOME=" + d.dir},
	})
	return outcome{code: code, err: strings.ReplaceAll(errs.String(), "myco --data-dir "+d.dir+" ", "myco ")}
}

// toFile runs the command with its output to a file that is opened so, and begins with a text.
func (d *daemon) toFile(flags int, before string, args ...string) outcome {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "out")
	writeFile(d.t, path, before)
	f, err := os.OpenFile(path, os.O_WRONLY|flags, 0)
	must(d.t, err)
	defer f.Close()
	if flags&os.O_APPEND == 0 {
		_, err = f.Seek(0, io.SeekEnd)
		must(d.t, err)
	}
	o := d.to(output(f), nil, args...)
	_, err = f.WriteString("after\n") // as the next command that writes there
	must(d.t, err)
	b, err := os.ReadFile(path)
	must(d.t, err)
	o.out = string(b)
	return o
}

// Of an answer that begins anew, or of which pieces were lost, a terminal shows what was printed and all of it, each marked. A
// file has the answer alone. A program behind a pipe gets it where it goes on from what was printed, and an error else; and so it
// is with a file that is appended to.
func TestAskBeginsAnew(t *testing.T) {
	t.Parallel()
	const file = "Paris it is.\n"
	for name, tt := range map[string]struct {
		chunks         []bus.Chunk
		terminal, pipe string
		says           string // on the terminal
		fails          bool   // the pipe's program
	}{
		"in other words": {
			[]bus.Chunk{piece(1, 0, "Lon"), piece(2, 0, "Paris"), piece(2, 1, " it is."), done(2, paris)},
			"Lon\nParis it is.\n", "Lon\n", "[attempt 2, on tower: the answer starts anew, what is above is void]", true,
		},
		"in the same words": {
			[]bus.Chunk{piece(1, 0, "Paris i"), piece(2, 0, "Paris"), piece(2, 1, " it is."), done(2, paris)},
			"Paris i\nParis it is.\n", file, "the answer starts anew, what is above is void]", false,
		},
		"no piece of it was seen": {
			[]bus.Chunk{piece(1, 0, "Lon"), done(2, paris)},
			"Lon\nParis it is.\n", "Lon\n", "starts anew", true,
		},
		"more than once": {
			[]bus.Chunk{piece(1, 0, "Lon"), piece(2, 0, "Rome"), piece(3, 0, "Paris"), done(3, paris)},
			"Lon\nRome\nParis it is.\n", "Lon\n", "[attempt 3", true,
		},
		"before a word":   {[]bus.Chunk{{Attempt: 1, Data: json.RawMessage(`{"loading":true}`)}, piece(2, 0, "Paris it is."), done(2, paris)}, file, file, "2 attempts", false},
		"the end is lost": {[]bus.Chunk{piece(1, 0, "Paris"), done(1, paris)}, file, file, "", false},
		"a piece is lost": {
			[]bus.Chunk{piece(1, 0, "Paris"), piece(1, 1, " is."), done(1, paris)},
			"Paris is.\nParis it is.\n", "Paris is.\n", "[pieces of the answer were lost: this is all of it]", true,
		},
		"what ends as it begins": { // and what is printed is not taken for its end
			[]bus.Chunk{piece(1, 0, "Paris"), done(1, bus.InferenceResult{Text: "Paris, Paris"})},
			"Paris, Paris\n", "Paris, Paris\n", "", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := setup(t)
			answers(d, tt.chunks...)
			var out bytes.Buffer
			d.to(&out, func() int { return 80 }, "ask", "Which city?").want(t, 0, tt.says)
			if out.String() != tt.terminal {
				t.Errorf("a terminal shows %q, want %q", out.String(), tt.terminal)
			}
			code, says := 0, ""
			if tt.fails {
				code, says = 1, "what was printed is no part of the answer"
			}
			if o := d.myco("ask", "Which city?").want(t, code, says); o.out != tt.pipe {
				t.Errorf("a pipe gets %q, want %q", o.out, tt.pipe)
			}
			whole := strings.TrimSuffix(tt.terminal[strings.LastIndex(strings.TrimSuffix(tt.terminal, "\n"), "\n")+1:], "\n") + "\n"
			if o := d.myco("ask", "--whole", "Which city?").want(t, 0); o.out != whole {
				t.Errorf("--whole prints %q, want %q", o.out, whole)
			}
			for _, flags := range []int{os.O_TRUNC, 0} {
				before := "before\n"
				if flags == os.O_TRUNC {
					before = ""
				}
				if o := d.toFile(flags, before, "ask", "Which city?").want(t, 0); o.out != before+whole+"after\n" {
					t.Errorf("a file opened with %#x has %q", flags, o.out)
				}
			}
			if runtime.GOOS != "windows" { // where >> opens a file as others do, and goes to its end
				if o := d.toFile(os.O_APPEND, "before\n", "ask", "Which city?").want(t, code, says); o.out != "before\n"+tt.pipe+"after\n" {
					t.Errorf("a file that is appended to has %q", o.out)
				}
			}
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			must(t, err)
			defer null.Close()
			d.to(output(null), nil, "ask", "Which city?").want(t, 0)
		})
	}
}

// A file in which others write too is left as it is.
func TestNothingOfOthersIsTakenBack(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	must(t, err)
	defer f.Close()
	s := streams{out: output(f)}
	for i, other := range []string{"", "theirs"} {
		mark := s.written()
		_, err = io.WriteString(s.out, "ours")
		must(t, err)
		_, err = f.WriteString(other)
		must(t, err)
		if got := s.backTo(mark); got != (other == "") {
			t.Errorf("round %d: taken back: %v", i, got)
		}
	}
	b, err := os.ReadFile(f.Name())
	must(t, err)
	if string(b) != "ourstheirs" {
		t.Errorf("it has %q", b)
	}
}

// Who attaches to an answer in its middle gets its end, and is told where that is not all of what is due.
func TestAttachInTheMiddle(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any {
		return bus.TaskInfo{ID: r.ID, Type: bus.TypeInference, State: bus.StateRunning}
	})
	next := make(chan []bus.Chunk, 1)
	on(d, payload(bus.VerbAttach), func(r bus.AttachRequest) any {
		d.send(r.Inbox, <-next...)
		return bus.SubmitReply{ID: r.ID}
	})
	const noPart = "what was printed is no part of the answer"
	end, warned := done(1, paris), done(1, paris)
	warned.End.Warning = "2 of 5 pieces of the output are missing"
	for _, c := range []struct {
		chunks   []bus.Chunk
		terminal bool
		args     []string
		code     int
		prints   string
		says     string
	}{
		{[]bus.Chunk{piece(1, 3, " it is."), end}, false, []string{"--from", "3"}, 0, " it is.\n", ""},
		{[]bus.Chunk{piece(1, 0, "Par"), piece(1, 2, " is."), end}, false, nil, 1, "Par is.\n", noPart},
		{
			[]bus.Chunk{piece(1, 0, "Par"), piece(1, 2, " is."), end},
			true, nil, 0, "Par is.\nParis it is.\n",
			"[pieces of the answer were lost: this is all of it]",
		},
		{[]bus.Chunk{piece(1, 3, " it is."), warned}, false, []string{"--from", "1"}, 1, " it is.\n", noPart},
		{[]bus.Chunk{piece(1, 3, " it is."), warned}, false, []string{"--json"}, 0, `"warning":"2 of 5 pieces`, ""},
		// One that begins anew may end in the same words.
		{[]bus.Chunk{piece(1, 3, " it is."), piece(2, 0, "Paris it"), piece(2, 1, " is."), done(2, paris)}, false, []string{"--from", "3"}, 1, " it is.\n", noPart},
	} {
		next <- c.chunks
		var out bytes.Buffer
		var columns func() int
		if c.terminal {
			columns = func() int { return 80 }
		}
		d.to(&out, columns, append([]string{"task", "attach", "t1"}, c.args...)...).want(t, c.code, c.says)
		if !strings.Contains(out.String(), c.prints) || !slices.Contains(c.args, "--json") && out.String() != c.prints {
			t.Errorf("%v of %d pieces printed %q, want %q", c.args, len(c.chunks), out.String(), c.prints)
		}
	}
}

// A hole in the output of another task is told, and the exit code tells it to who has taken the pieces.
func TestRawOutputWithAHole(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any { return bus.TaskInfo{ID: r.ID, Type: "echo", State: bus.StateRunning} })
	end := bus.Chunk{Attempt: 2, Seq: 1, Node: other, End: &bus.TaskInfo{ID: "t1", State: bus.StateDone, Result: json.RawMessage(`"all"`)}}
	chunks := func() []bus.Chunk { return []bus.Chunk{piece(1, 0, "void"), piece(2, 0, "a"), end} }
	on(d, payload(bus.VerbAttach), func(r bus.AttachRequest) any {
		d.send(r.Inbox, chunks()...)
		return bus.SubmitReply{ID: r.ID}
	})
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		d.send(r.Inbox, chunks()...)
		return bus.SubmitReply{ID: r.Task.ID}
	})
	const anew = "[attempt 2, on tower: the answer starts anew, what is above is void]"
	attach, ran := []string{"task", "attach", "t1"}, []string{"run", "echo"}
	d.myco(attach...).want(t, 0, anew)
	d.myco(ran...).want(t, 0, anew)
	end.End.Warning = "1 of 2 pieces of the output are missing"
	const hole = "myco: 1 of 2 pieces of the output are missing; the result is whole"
	for _, args := range [][]string{attach, ran} {
		d.myco(args...).want(t, 1, anew, hole)
	}
	for code, args := range map[int][]string{0: append(attach, "--json"), 1: append(ran, "--json")} {
		if o := d.myco(args...).want(t, code); !strings.Contains(o.out, `"warning":"1 of 2 pieces of the output are missing"`) {
			t.Errorf("%v prints %s", args, o.out)
		}
	}
	d.myco("task", "attach", "t1", "--json", "--stream").want(t, 1, hole)
}

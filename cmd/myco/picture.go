package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
)

// maxPicture is the largest picture, in bytes: more than cameras make of one.
const maxPicture = 32 << 20

// pictureKinds are what models that see can read.
var pictureKinds = []string{"image/png", "image/jpeg", "image/webp"}

// picturesOf reads the pictures that a question is about.
func (a *app) picturesOf(ctx context.Context, names []string) (pictures [][]byte, err error) {
	for _, name := range names {
		var b []byte
		if name == standardInput {
			b, err = pictureFrom(a.in, "standard input")
		} else {
			b, err = pictureIn(ctx, name)
		}
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, b)
	}
	return pictures, nil
}

// pictureIn reads a picture from a file, or from what a program writes to a pipe.
func pictureIn(ctx context.Context, name string) ([]byte, error) {
	path := name
	if strings.HasPrefix(name, "~/") { // a shell leaves it so in --image=~/FILE
		path = kong.ExpandPath(name)
	}
	info, err := os.Stat(path)
	switch {
	case name == "":
		return nil, bus.Errorf(bus.CodeInvalid, "the name of the picture is empty").WithHint("give its name; one out of a variable may be missing")
	case errors.Is(err, os.ErrNotExist):
		return nil, bus.Errorf(bus.CodeInvalid, "there is no file %s", name).WithHint("ls %s", bus.ShellWord(filepath.Dir(path)))
	case err == nil && info.IsDir():
		return nil, bus.Errorf(bus.CodeInvalid, "%s is no file", name).WithHint("name a picture; one that a program makes comes in by: PROGRAM | myco ask --image - PROMPT")
	}
	f, err := input.Open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("read the picture: %w", err)
	}
	defer f.Close()
	return pictureFrom(input.Until(ctx, f), name)
}

func pictureFrom(r io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPicture+1))
	if err != nil {
		return nil, fmt.Errorf("read the picture: %w", err)
	}
	if len(b) > maxPicture {
		return nil, bus.Errorf(bus.CodeTooLarge, "%s has more than the %d MiB that a picture may have", name, maxPicture>>20).
			WithHint("make it smaller: models look at about 1000 pixels each way")
	}
	if len(b) == 0 {
		return nil, bus.Errorf(bus.CodeInvalid, "%s is empty", name).WithHint("look at what was to write it")
	}
	if kind := http.DetectContentType(b); !slices.Contains(pictureKinds, kind) {
		return nil, bus.Errorf(bus.CodeInvalid, "%s is %s: models see PNG, JPEG and WebP", name, kind).
			WithHint("save it as PNG or JPEG; a document is asked about with myco ask --file FILE")
	}
	return b, nil
}

// modelThatSees is the model that t, a question about pictures, goes to: the one that it names, or that the swarm would
// choose among those that see. An error tells what to do where there is none.
func modelThatSees(s bus.Status, t bus.Task) (string, error) {
	var sighted []bus.NodeInfo
	var all []string
	blind, untold := false, false // the one that t names is known, and sees nothing; some do not tell
	for _, n := range s.Nodes {
		if !n.Takes(s.Node.ID, bus.TypeInference) || t.Node != "" && n.ID != t.Node || t.Remote && n.ID == s.Node.ID {
			continue
		}
		able := n
		able.Models = nil
		for _, m := range n.Models {
			named := t.Model != "" && bus.SameModel(m.Name, t.Model)
			switch {
			case named && m.Can&bus.Sees == 0 && m.Can != 0:
				blind = true
			case named:
				return t.Model, nil
			case m.Can&bus.Sees != 0:
				able.Models = append(able.Models, m)
				all = append(all, m.Name)
			case m.Can == 0:
				untold = true
			}
		}
		sighted = append(sighted, able)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	m, _, ok := bus.ChooseModel(sighted, s.DefaultModel)
	switch {
	case t.Model == "" && ok:
		return m.Name, nil
	case t.Model == "" && untold, t.Model != "" && !blind, len(sighted) == 0: // it may see; or nobody has it, which its placing tells
		return t.Model, nil
	}
	e := bus.Errorf(bus.CodeNoWorker, "no model here sees pictures")
	if blind {
		e = bus.Errorf(bus.CodeInvalid, "%s sees no pictures", t.Model)
	}
	if ok {
		return "", e.WithHint("one that does: %s", strings.Join(all, ", "))
	}
	return "", e.WithHint("%s", bus.PullCommand(s.Nodes, "gemma3:4b", string(t.Node)))
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// readPrompt joins the words of the command line and what is piped in.
func readPrompt(words []string, s streams) (string, error) {
	prompt := strings.Join(words, " ")
	if !s.piped && (prompt != "" || s.interactive) {
		return prompt, nil
	}
	b, err := io.ReadAll(io.LimitReader(s.in, bus.MaxPrompt+1))
	if err != nil {
		return "", fmt.Errorf("read the question from standard input: %w", err)
	}
	if len(b) > bus.MaxPrompt {
		return "", bus.Errorf(bus.CodeTooLarge, "the prompt is over the limit of %d bytes", bus.MaxPrompt).
			WithHint("ask about a part of it: head -c %d FILE | myco ask ...", bus.MaxPrompt/2)
	}
	if err := binary(b); err != nil {
		return "", err
	}
	piped := strings.TrimRight(string(b), "\r\n")
	if prompt != "" && strings.TrimSpace(piped) != "" {
		return prompt + "\n\n" + piped, nil
	}
	return prompt + piped, nil
}

// binary refuses what is no text that a model could read as it is, and tells what it is: a document, a picture or a program.
// Text in an old charset, or of a terminal, passes, and so does what begins as a picture might: BMW.
func binary(b []byte) error {
	kind := http.DetectContentType(b)
	switch {
	case strings.HasPrefix(kind, "text/plain; charset=utf-16"):
		return bus.Errorf(bus.CodeInvalid, "what is piped in is text in UTF-16").WithHint("myco ask --file FILE PROMPT, which reads it")
	case !asText(kind) && !utf8.Valid(b):
	case bytes.IndexByte(b, 0) >= 0:
		kind = "data with zero bytes"
	default:
		return nil
	}
	return bus.Errorf(bus.CodeInvalid, "what is piped in is no text, but %s", kind).
		WithHint("myco ask --file FILE PROMPT is for documents, and myco ask --image FILE PROMPT for pictures")
}

// asText reports whether a kind may be text all the same: it is known by two to four letters at its beginning, as BM, ID3 or OTTO,
// and has zero bytes where it is what it seems.
func asText(kind string) bool {
	switch kind {
	case "application/octet-stream", "image/bmp", "audio/mpeg":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasPrefix(kind, "font/")
}

// modelFor is the model that t, the question of req, goes to. An error tells why none could answer it. Where any will do,
// nobody is asked.
func modelFor(ctx context.Context, who asker, t bus.Task, req bus.InferenceRequest) (string, error) {
	if len(req.Images) == 0 && len(req.Prompt) <= longPrompt {
		return t.Model, nil
	}
	s, err := who.status(ctx)
	if err != nil {
		return "", err
	}
	if err := fits(s, t, req.Prompt); err != nil || len(req.Images) == 0 {
		return t.Model, err
	}
	return modelThatSees(s, t)
}

const (
	// longestToken is how many bytes of text a token stands for at most: a run of blanks, in the largest vocabularies.
	longestToken = 128
	// longContext is a context, in tokens, that is counted on where a model tells a shorter one: it may be loaded anew.
	longContext = 1 << 18
	longPrompt  = longContext * longestToken
)

// fits refuses a prompt that no model which may answer t reads at once, whatever its words are: an engine takes a minute to
// find that out.
func fits(s bus.Status, t bus.Task, prompt string) error {
	var most bus.ModelInfo
	for _, m := range mayAnswer(s, t.Model, t.Node, t.Remote) {
		if m.ContextLength == 0 { // its engine tells none
			return nil
		}
		if m.ContextLength > most.ContextLength {
			most = m
		}
	}
	if most.Name == "" || len(prompt) <= max(most.ContextLength*longestToken, longPrompt) {
		return nil
	}
	return withLongerContext(bus.Errorf(bus.CodeTooLarge, "the prompt has %d bytes, and %s reads %d tokens at once, which are %d bytes at most",
		len(prompt), most.Name, most.ContextLength, most.ContextLength*longestToken), "myco summarize FILE, which takes it in parts")
}

package engine

import (
	"errors"

	"github.com/mycoswarm/mycoswarm/bus"
)

// forgetting calls ask with req, and again with ever less of the beginning of its conversation, where the
// client allows that, while the answer is that the prompt is too long. Ollama forgets by itself; other engines
// refuse what does not fit. ask calls taken once the engine answers: req, which may be large, is not kept from then on.
func forgetting[T any](req bus.InferenceRequest, ask func(req bus.InferenceRequest, taken func()) (T, error)) (T, error) {
	if !req.Truncate {
		return ask(req, func() {}) // and keep nothing of it
	}
	begun := false
	for {
		res, err := ask(req, func() { begun, req = true, bus.InferenceRequest{} })
		if begun || !isTooLong(err) {
			return res, err
		}
		shorter, ok := olderLeftOut(req)
		if !ok {
			return res, err
		}
		req = shorter
	}
}

func isTooLong(err error) bool {
	var e *bus.Error
	return errors.As(err, &e) && e.Code == bus.CodeTooLarge
}

// olderLeftOut returns req without the older half of its conversation, by bytes: what the system says stays, and what is
// left begins with a turn of the user's, so that no result of a tool comes without its call. ok is false where
// there is one turn alone.
func olderLeftOut(req bus.InferenceRequest) (shorter bus.InferenceRequest, ok bool) {
	if req.Mode != bus.ModeChat || req.Raw {
		return req, false
	}
	all := req.Conversation()
	size, turns := 0, 0
	for _, m := range all {
		if m.Role == "user" {
			turns++
		}
		if m.Role != "system" {
			size += len(m.Content)
		}
	}
	if turns < 2 {
		return req, false
	}
	var kept []bus.Message
	left, dropped, begun := size, false, false
	for _, m := range all {
		if m.Role == "user" {
			turns--
			begun = begun || dropped && (left <= size/2 || turns == 0)
		}
		if m.Role == "system" || begun {
			kept = append(kept, m)
			continue
		}
		left -= len(m.Content)
		dropped = true
	}
	req.System, req.Prompt, req.Images, req.Messages = "", "", nil, kept
	return req, true
}

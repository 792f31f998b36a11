package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kinds of piece, by their number in the file.
const (
	kindNormal  = 1
	kindUnknown = 2
	kindControl = 3
	kindUser    = 4
	kindByte    = 6
)

// Tokens at fixed places of every vocabulary.
const (
	tokenUnknown = 0
	tokenBegin   = 1
	tokenEnd     = 2
	firstByte    = 3
)

// Markers that begin a turn.
const (
	markUser      = "<|user|>"
	markAssistant = "<|assistant|>"
	markSystem    = "<|system|>"
)

const blank = "▁"

// vocab is a vocabulary in the manner of SentencePiece. Every prefix of every
// word is a piece, with a better score than the longer ones, so merging always
// runs from left to right and any engine splits a text in the same way.
type vocab struct {
	pieces []string
	scores []float32
	kinds  []int32
	ids    map[string]int
}

func vocabOf(pairs []pair) *vocab {
	v := &vocab{ids: map[string]int{}}
	v.add("<unk>", 0, kindUnknown)
	v.add("<s>", 0, kindControl)
	v.add("</s>", 0, kindControl)
	for b := range 256 {
		v.add(fmt.Sprintf("<0x%02X>", b), 0, kindByte)
	}
	for _, s := range []string{markUser, markAssistant, markSystem} {
		v.add(s, 0, kindUser)
	}
	normal := 0
	piece := func(s string) {
		if _, ok := v.ids[s]; !ok {
			normal++
			v.add(s, -float32(normal), kindNormal)
		}
	}
	piece(blank)
	for c := byte('!'); c <= '~'; c++ {
		piece(string(c))
	}
	for _, p := range pairs {
		for word := range strings.FieldsSeq(p.question + " " + p.answer) {
			word = strings.TrimRight(word, "?!.,")
			for i, c := range word {
				piece(string(c))
				piece(blank + word[:i+utf8.RuneLen(c)])
			}
		}
	}
	return v
}

func (v *vocab) add(s string, score float32, kind int32) {
	if _, ok := v.ids[s]; ok {
		return
	}
	v.ids[s] = len(v.pieces)
	v.pieces, v.scores, v.kinds = append(v.pieces, s), append(v.scores, score), append(v.kinds, kind)
}

// encode splits s as an engine would: the longest known beginning of each word,
// then single characters.
func (v *vocab) encode(s string) []int {
	var out []int
	for word := range strings.SplitSeq(s, " ") {
		prefix, rest := blank, word
		for i, c := range word {
			longer := prefix + string(c)
			if _, ok := v.ids[longer]; !ok {
				rest = word[i:]
				break
			}
			prefix, rest = longer, ""
		}
		out = append(out, v.ids[prefix])
		for _, c := range rest {
			out = append(out, v.character(c)...)
		}
	}
	return out
}

func (v *vocab) character(c rune) []int {
	if id, ok := v.ids[string(c)]; ok {
		return []int{id}
	}
	var out []int
	for _, b := range []byte(string(c)) {
		out = append(out, firstByte+int(b))
	}
	return out
}

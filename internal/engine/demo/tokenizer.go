package demo

import (
	"container/heap"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/internal/engine/demo/gguf"
)

// Kinds of piece, by their number in the file.
const (
	pieceNormal  = 1
	pieceControl = 3
	pieceUser    = 4 // a marker such as <|user|>
	pieceByte    = 6
)

const maxVocab = 1 << 18

// space stands for a blank within pieces.
const space = "▁"

// tokenizer turns text into tokens and back, as SentencePiece's BPE does: pieces
// that are neighbours merge, those with the best score first.
type tokenizer struct {
	pieces  []string // as text: blanks restored, bytes decoded
	kinds   []int32
	scores  []float32
	ids     map[string]int // normal pieces, spelled as in the file
	markers map[string]int // user-defined pieces
	bytes   [256]int       // token of a byte that no piece covers
	longest int            // bytes of the longest normal piece
	bos     int
	eos     int
}

func newTokenizer(file *gguf.File) (*tokenizer, error) {
	if m := file.Meta["tokenizer.ggml.model"]; m != "llama" {
		return nil, fmt.Errorf("tokenizer is %v, only llama can be run", m)
	}
	tokens, _ := file.Meta["tokenizer.ggml.tokens"].([]string)
	scores, _ := file.Meta["tokenizer.ggml.scores"].([]float32)
	kinds, _ := file.Meta["tokenizer.ggml.token_type"].([]int32)
	n := len(tokens)
	if n == 0 || n > maxVocab || len(scores) != n || len(kinds) != n {
		return nil, fmt.Errorf("%d tokens with %d scores and %d types, want 1 to %d of each", n, len(scores), len(kinds), maxVocab)
	}
	l := loader{file: file}
	t := &tokenizer{
		pieces: make([]string, n), kinds: kinds, scores: scores,
		ids: make(map[string]int, n), markers: map[string]int{},
		bos: l.number("tokenizer.ggml.bos_token_id", 0, n-1),
		eos: l.number("tokenizer.ggml.eos_token_id", 0, n-1),
	}
	unknown := l.number("tokenizer.ggml.unknown_token_id", 0, n-1)
	for i := range t.bytes {
		t.bytes[i] = unknown
	}
	for id, s := range tokens {
		if err := t.add(id, s); err != nil {
			return nil, err
		}
	}
	return t, l.err
}

func (t *tokenizer) add(id int, s string) error {
	switch t.kinds[id] {
	case pieceNormal:
		if _, twice := t.ids[s]; twice {
			return fmt.Errorf("token %d: %q is there twice", id, s)
		}
		t.ids[s] = id
		t.longest = max(t.longest, len(s))
		t.pieces[id] = strings.ReplaceAll(s, space, " ")
	case pieceUser:
		t.markers[s] = id
		t.pieces[id] = s
	case pieceByte:
		var b byte
		if n, err := fmt.Sscanf(s, "<0x%02X>", &b); n != 1 || err != nil {
			return fmt.Errorf("token %d: %q is not a byte", id, s)
		}
		t.bytes[b] = id
		t.pieces[id] = string([]byte{b})
	}
	return nil
}

// fewest returns a lower bound of the number of tokens that s needs.
func (t *tokenizer) fewest(s string) int {
	return len(s) / max(t.longest, 1)
}

// encode appends the tokens of s. Markers in s are plain text: a prompt cannot
// pretend to be another's turn.
func (t *tokenizer) encode(tokens []int, s string) []int {
	if s == "" {
		return tokens
	}
	m := newMerger(t, space+strings.ReplaceAll(s, " ", space))
	m.run()
	for i := 0; i >= 0; i = m.parts[i].next {
		text := m.parts[i].text
		if id, ok := t.ids[text]; ok {
			tokens = append(tokens, id)
			continue
		}
		for _, b := range []byte(text) {
			tokens = append(tokens, t.bytes[b])
		}
	}
	return tokens
}

// part is a piece of the text in a linked list; one that was merged away is empty.
type part struct {
	text       string
	prev, next int
}

// pair is two neighbours that could merge into the piece token.
type pair struct {
	left, right int
	size        int // bytes of both when the pair was found
	score       float32
}

// merger merges the parts of one text, in time n log n.
type merger struct {
	t     *tokenizer
	text  string
	parts []part
	start []int // offset of each part in text
	pairs []pair
}

func newMerger(t *tokenizer, s string) *merger {
	m := &merger{t: t, text: s}
	for at := 0; at < len(s); {
		_, size := utf8.DecodeRuneInString(s[at:])
		i := len(m.parts)
		m.parts = append(m.parts, part{text: s[at : at+size], prev: i - 1, next: i + 1})
		m.start = append(m.start, at)
		at += size
	}
	m.parts[len(m.parts)-1].next = -1
	return m
}

func (m *merger) run() {
	for i := range m.parts {
		m.consider(i)
	}
	for m.Len() > 0 {
		p := heap.Pop(m).(pair)
		left, right := &m.parts[p.left], &m.parts[p.right]
		if left.text == "" || right.text == "" || len(left.text)+len(right.text) != p.size {
			continue // one of them has merged since
		}
		at := m.start[p.left]
		left.text = m.text[at : at+p.size]
		left.next = right.next
		if right.next >= 0 {
			m.parts[right.next].prev = p.left
		}
		right.text = ""
		m.consider(left.prev)
		m.consider(p.left)
	}
}

// consider notes the pair of part i and the next one, if they make a piece.
func (m *merger) consider(i int) {
	if i < 0 || m.parts[i].next < 0 {
		return
	}
	right := m.parts[i].next
	size := len(m.parts[i].text) + len(m.parts[right].text)
	at := m.start[i]
	if id, ok := m.t.ids[m.text[at:at+size]]; ok {
		heap.Push(m, pair{left: i, right: right, size: size, score: m.t.scores[id]})
	}
}

// Len, Less, Swap, Push and Pop make the pairs a heap: best score first, then leftmost.
func (m *merger) Len() int { return len(m.pairs) }

func (m *merger) Less(i, j int) bool {
	a, b := m.pairs[i], m.pairs[j]
	if a.score != b.score {
		return a.score > b.score
	}
	return a.left < b.left
}

func (m *merger) Swap(i, j int) { m.pairs[i], m.pairs[j] = m.pairs[j], m.pairs[i] }

// Push implements heap.Interface.
func (m *merger) Push(x any) { m.pairs = append(m.pairs, x.(pair)) }

// Pop implements heap.Interface.
func (m *merger) Pop() any {
	last := len(m.pairs) - 1
	p := m.pairs[last]
	m.pairs = m.pairs[:last]
	return p
}

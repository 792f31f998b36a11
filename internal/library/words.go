package library

import (
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// softHyphen is where a word may be divided at the end of a line.
const softHyphen = "\u00ad"

// words are the words and numbers of a text as they are compared: in small letters, with each letter written in one way
// (file names and PDFs have ü as two characters, and ﬁ as one), without soft hyphens, and without the s of a plural. What
// is written without spaces has a word of each two characters that follow one another, and of one that stands alone, as in
// Lucene's CJKAnalyzer; with singles, of each one as well.
func words(s string, singles bool) iter.Seq[string] {
	s = strings.ReplaceAll(strings.ToLower(s), softHyphen, "")
	fields := strings.FieldsFuncSeq(norm.NFKC.String(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) })
	return func(yield func(string) bool) {
		for field := range fields {
			for field != "" {
				n, spaced := run(field)
				part := field[:n]
				field = field[n:]
				if spaced && !yield(singular(part)) || !spaced && !pairs(part, singles, yield) {
					return
				}
			}
		}
	}
}

// run is the length of the beginning of s, in bytes, that is of languages with spaces between words, or of others.
func run(s string) (n int, spaced bool) {
	if !slices.ContainsFunc([]byte(s), func(b byte) bool { return b >= 0xe0 }) { // of no letter beyond unspaced's first: soon told
		return len(s), true
	}
	first, _ := utf8.DecodeRuneInString(s)
	spaced = !unspaced(first)
	if n = strings.IndexFunc(s, func(r rune) bool { return unspaced(r) == spaced && !unicode.IsMark(r) }); n < 0 {
		n = len(s)
	}
	return n, spaced
}

// singular is a word without the s of a plural.
func singular(w string) string {
	if len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") {
		return w[:len(w)-1]
	}
	return w
}

// pairs calls yield with each two characters of run that follow one another, with one that stands alone, and, with singles,
// with each.
func pairs(run string, singles bool, yield func(string) bool) bool {
	for before, start := 0, 0; start < len(run); {
		end := start + character(run[start:])
		if (singles || end-start == len(run)) && !yield(run[start:end]) {
			return false
		}
		if start > 0 && !yield(run[before:end]) {
			return false
		}
		before, start = start, end
	}
	return true
}

// character is the length of the first character of s, in bytes, with the marks that are above and below it.
func character(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !unicode.IsMark(r) {
			break
		}
		n += size
	}
	return n
}

// scripts are those of languages that put no spaces between words. Korean does, but writes what other languages have small
// words for together with the word that it belongs to.
var scripts = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// unspaced tells whether r is of a language without spaces between words.
func unspaced(r rune) bool {
	const prolonged = 'ー' // makes a vowel of Japanese long, and is of no script
	return r >= 0x0e00 && (unicode.In(r, scripts...) || r == prolonged)
}

// alone tells whether word is one character of such a language.
func alone(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	return unspaced(r) && character(word) == len(word)
}

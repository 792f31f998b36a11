package library

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"
)

const (
	// bm25K and bm25B are the usual constants of Okapi BM25 (Robertson and Zaragoza, The Probabilistic Relevance
	// Framework, 2009): how soon a word that is repeated counts no more, and how much long passages are marked down.
	bm25K = 1.2
	bm25B = 0.75
	// fusionK is the constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).
	fusionK = 60
	// fused is how many of each ranking count.
	fused = 100
)

// Hit is a passage that was found.
type Hit struct {
	Document *Document
	Passage  *Passage
	Score    float64 // the more the better; of one search alone
}

// Query is what is looked for.
type Query struct {
	Text string
	// Vector is that of Text, by Model. Without one passages are found by their words alone.
	Vector []float32
	Model  string
	// Digest is as in Document.
	Digest string
}

// Search returns the n best passages of docs, the best first; of copies of a document one counts. The rankings by words
// and by vectors are put together by their ranks: words find names and numbers, vectors what is said in other words.
func Search(docs []Document, q Query, n int) []Hit {
	all := passages(docs)
	var rankings [][]*Passage
	for _, found := range [][]Hit{byWords(all, q.Text), byVector(all, q)} {
		slices.SortStableFunc(found, func(a, b Hit) int { return cmp.Compare(b.Score, a.Score) })
		ranking := make([]*Passage, min(len(found), fused))
		for i := range ranking {
			ranking[i] = found[i].Passage
		}
		rankings = append(rankings, ranking)
	}
	scores := Fuse(rankings...)
	hits := make([]Hit, 0, len(scores))
	for _, h := range all { // in their order, for what is equally good
		if score, ok := scores[h.Passage]; ok {
			h.Score = score
			hits = append(hits, h)
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int { return cmp.Compare(b.Score, a.Score) })
	return hits[:min(len(hits), n)]
}

// Fuse scores what is in rankings, each with the best first, by reciprocal rank fusion: the more the better.
func Fuse[K comparable](rankings ...[]K) map[K]float64 {
	scores := map[K]float64{}
	for _, ranking := range rankings {
		for rank, k := range ranking {
			scores[k] += 1 / float64(fusionK+rank+1)
		}
	}
	return scores
}

// passages are those of all docs, each text once.
func passages(docs []Document) (all []Hit) {
	seen := map[string]bool{}
	for i := range docs {
		for j := range docs[i].Passages {
			if p := &docs[i].Passages[j]; !seen[p.Text] {
				seen[p.Text] = true
				all = append(all, Hit{Document: &docs[i], Passage: p})
			}
		}
	}
	return all
}

// byVector scores by the cosine of the angle to the query's vector.
func byVector(all []Hit, q Query) (out []Hit) {
	if len(q.Vector) == 0 {
		return nil
	}
	vector := Unit(q.Vector)
	for _, h := range all {
		if h.Document.By(q.Model, q.Digest) && len(h.Passage.Vector) == len(vector) {
			h.Score = dot(h.Passage.Vector, vector)
			out = append(out, h)
		}
	}
	return out
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i] * b[i])
	}
	return sum
}

// Unit returns v with length 1.
func Unit(v []float32) []float32 {
	length := math.Sqrt(dot(v, v))
	if length == 0 {
		return v
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / length)
	}
	return out
}

// byWords scores passages that have a word of the question by Okapi BM25. What a document is called counts as a part of
// each.
func byWords(all []Hit, question string) (out []Hit) {
	wanted := map[string]int{} // number of each word
	singles := false           // a character of the question that stands alone does not in all passages
	for w := range words(question, false) {
		singles = singles || alone(w)
		if _, has := wanted[w]; !has {
			wanted[w] = len(wanted)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var found []counted
	with := make([]int, len(wanted))  // passages that have each word
	tally := make([]int, len(wanted)) // of one passage
	total := 0
	for _, h := range all {
		c := counted{hit: h}
		called := h.Document.Title + " " + filepath.Base(h.Document.Path) // an invoice of a boiler rarely calls it so
		for w := range words(called+" "+h.Passage.Text, singles) {
			c.length++
			if i, ok := wanted[w]; ok {
				if tally[i]++; tally[i] == 1 {
					c.has = append(c.has, times{word: i})
				}
			}
		}
		for j, t := range c.has { // a question may have more words than a passage: a document may be piped in
			c.has[j].n, tally[t.word] = tally[t.word], 0
			with[t.word]++
		}
		total += c.length
		if c.has != nil {
			found = append(found, c)
		}
	}
	mean := float64(total) / float64(max(len(all), 1))
	for _, c := range found {
		out = append(out, c.scored(len(all), with, mean))
	}
	return out
}

// counted is a passage with the words of a question that it has, each with how often, and how many words it has in all.
type counted struct {
	hit    Hit
	has    []times
	length int
}

type times struct{ word, n int }

// scored is c as a hit among so many passages, of which with tells how many have each word, and mean how many words they have.
func (c counted) scored(passages int, with []int, mean float64) Hit {
	h := c.hit
	for _, t := range c.has {
		rare := math.Log(1 + (float64(passages-with[t.word])+0.5)/(float64(with[t.word])+0.5))
		tf := float64(t.n)
		h.Score += rare * tf * (bm25K + 1) / (tf + bm25K*(1-bm25B+bm25B*float64(c.length)/mean))
	}
	return h
}

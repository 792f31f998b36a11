package library_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/library"
)

// texts are those of hits, in their order.
func texts(hits []library.Hit) (out []string) {
	for _, h := range hits {
		out = append(out, h.Passage.Text)
	}
	return out
}

func docs(model string, passages ...library.Passage) []library.Document {
	return []library.Document{{Path: "/one", Model: model, Passages: passages}}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	const (
		boiler = "The boiler of the house was replaced in May; the invoice is number 4711."
		bees   = "The bees of the garden want the water of the pond, and the flowers of the house."
		heat   = "What warms the rooms cost 3,200 euros."
		long   = "boiler boiler boiler"
	)
	worded := docs("m", library.Passage{Text: bees}, library.Passage{Text: boiler}, library.Passage{Text: heat})
	for name, tt := range map[string]struct {
		docs []library.Document
		q    library.Query
		n    int
		want []string
	}{
		"a rare word beats frequent ones": {worded, library.Query{Text: "the boiler of the house"}, 1, []string{boiler}},
		"numbers are words":               {worded, library.Query{Text: "Invoice 4711?"}, 5, []string{boiler}},
		"small and large letters":         {worded, library.Query{Text: "BEES"}, 5, []string{bees}},
		"nothing of it":                   {worded, library.Query{Text: "submarine"}, 5, nil},
		"no words":                        {worded, library.Query{Text: "?!"}, 5, nil},
		"a word again counts little more": {
			docs("", library.Passage{Text: long + strings.Repeat(" filler", 60)}, library.Passage{Text: "boiler cost"}), library.Query{Text: "boiler cost"}, 1, []string{"boiler cost"},
		},
		"by meaning, without a word of it": {
			docs("m", library.Passage{Text: bees, Vector: []float32{1, 0}}, library.Passage{Text: heat, Vector: []float32{0.1, 0.9}}),
			library.Query{Text: "heating", Vector: []float32{0, 5}, Model: "m"},
			1,
			[]string{heat},
		},
		"vectors of another model do not count": {
			docs("old", library.Passage{Text: bees, Vector: []float32{0, 1}}), library.Query{Text: "heating", Vector: []float32{0, 1}, Model: "m"}, 5, nil,
		},
		"what a document is called": {
			[]library.Document{
				{Path: "/in/boiler.txt", Passages: []library.Passage{{Text: "Total 3,200"}}}, {Path: "/boiler/2.txt", Title: "The roof", Passages: []library.Passage{{Text: "Total 900"}}},
			},
			library.Query{Text: "What did the boiler cost, or the roof? the the"},
			5,
			[]string{"Total 900", "Total 3,200"},
		},
		"one and many": {
			docs("", library.Passage{Text: "the guarantee"}, library.Passage{Text: "all invoices"}, library.Passage{Text: "a mas"}),
			library.Query{Text: "guarantees invoice mass ma"},
			5,
			[]string{"the guarantee", "all invoices"},
		},
		"a letter that is written as two, and two as one": {
			docs("", library.Passage{Text: "Gru\u0308\u00dfe"}, library.Passage{Text: "the \ufb01nances"}),
			library.Query{Text: "Gr\u00fc\u00dfe finances"},
			5,
			[]string{"Gru\u0308\u00dfe", "the \ufb01nances"},
		},
		"a word that may be divided": {
			docs("", library.Passage{Text: "Die W\u00e4rme\u00adpumpe lief."}), library.Query{Text: "W\u00e4rmepumpe"}, 5, []string{"Die W\u00e4rme\u00adpumpe lief."},
		},
		"Chinese": {
			docs("", library.Passage{Text: "花园里有两个蜂箱。"}, library.Passage{Text: "锅炉于2024年五月更换,花费三千二百欧元。"}),
			library.Query{Text: "更换锅炉花了多少钱?"},
			5,
			[]string{"锅炉于2024年五月更换,花费三千二百欧元。"},
		},
		"Japanese, in wide and narrow letters": {
			docs("", library.Passage{Text: "庭には巣箱が二つある。"}, library.Passage{Text: "ボイラーの請求書はＮｏ．４７１１です。"}),
			library.Query{Text: "ﾎﾞｲﾗｰ no 4711"},
			5,
			[]string{"ボイラーの請求書はＮｏ．４７１１です。"},
		},
		"Korean, with a particle": {
			docs("", library.Passage{Text: "정원에는 벌통이 두 개 있다."}, library.Passage{Text: "보일러는 오월에 교체되었다."}),
			library.Query{Text: "보일러를 언제 바꿨나요"},
			5,
			[]string{"보일러는 오월에 교체되었다."},
		},
		"Thai": {
			docs("", library.Passage{Text: "ในสวนมีรังผึ้งสองรัง"}, library.Passage{Text: "หม้อต้มน้ำถูกเปลี่ยนในเดือนพฤษภาคม"}),
			library.Query{Text: "เปลี่ยนหม้อต้มเมื่อไร"},
			1,
			[]string{"หม้อต้มน้ำถูกเปลี่ยนในเดือนพฤษภาคม"},
		},
		"a character alone is a part of words": {
			docs("", library.Passage{Text: "犬が好き"}, library.Passage{Text: "好きな猫"}, library.Passage{Text: "猫"}),
			library.Query{Text: "猫"},
			5,
			[]string{"猫", "好きな猫"},
		},
		"two characters are found together alone": {
			docs("", library.Passage{Text: "都の東と京"}, library.Passage{Text: "東京都に住む"}), library.Query{Text: "東京"}, 5, []string{"東京都に住む"},
		},
		"beside letters and numbers": {
			docs("", library.Passage{Text: "USB接続"}, library.Passage{Text: "接続 4G"}), library.Query{Text: "usb, 4g"}, 5, []string{"USB接続", "接続 4G"},
		},
		"of copies one counts": {
			append(docs("", library.Passage{Text: boiler}, library.Passage{Text: bees}), docs("", library.Passage{Text: boiler})...),
			library.Query{Text: "boiler house"},
			5,
			[]string{boiler, bees},
		},
		"what both find comes first": {
			docs("m", library.Passage{Text: "boiler a", Vector: []float32{0, 1}}, library.Passage{Text: "b", Vector: []float32{0.5, 0.5}}, library.Passage{Text: "boiler c", Vector: []float32{1, 0}}),
			library.Query{Text: "boiler", Vector: []float32{1, 0}, Model: "m"},
			1,
			[]string{"boiler c"},
		},
	} {
		got := texts(library.Search(tt.docs, tt.q, tt.n))
		if strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("%s: found %q, want %q", name, got, tt.want)
		}
	}
}

// A question may be as long as a document that is piped in, and takes little more memory for it.
func TestSearchForManyWords(t *testing.T) { // alone: it counts what is allocated
	var question strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&question, "word%d ", i)
	}
	var passages []library.Passage
	for i := range 2000 {
		passages = append(passages, library.Passage{Text: fmt.Sprintf("word%d", i)})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	hits := library.Search(docs("", passages...), library.Query{Text: question.String()}, 3)
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 50 || len(hits) != 3 {
		t.Errorf("%d MiB for %d hits", used, len(hits))
	}
}

func TestUnit(t *testing.T) {
	t.Parallel()
	if v := library.Unit([]float32{3, 4}); v[0] != 0.6 || v[1] != 0.8 {
		t.Errorf("got %v", v)
	}
	if v := library.Unit([]float32{0, 0}); v[0] != 0 {
		t.Errorf("got %v", v)
	}
}

// A question of a library of 10,000 passages with vectors of 768 numbers, as nomic-embed-text makes them: to read it, and
// to find. The floor reads the same files, and does nothing with them.
func BenchmarkLibrary(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	l, err := library.Create(b.TempDir(), "papers")
	if err != nil {
		b.Fatal(err)
	}
	vector := func() []float32 {
		v := make([]float32, 768)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return library.Unit(v)
	}
	for i := range 100 {
		d := library.Document{Path: fmt.Sprintf("/doc%d", i), Model: "m"}
		for range 100 {
			var text strings.Builder
			for text.Len() < 1000 {
				fmt.Fprintf(&text, "word%d ", int(r.ExpFloat64()*1000))
			}
			d.Passages = append(d.Passages, library.Passage{Text: text.String(), Vector: vector()})
		}
		if err := l.Put(d); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Save(); err != nil {
		b.Fatal(err)
	}
	all, err := l.Documents()
	if err != nil {
		b.Fatal(err)
	}
	q := library.Query{Text: "word3 word700 word2500", Vector: vector(), Model: "m"}
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			files, _ := filepath.Glob(filepath.Join(l.Dir(), "*.doc"))
			for _, f := range files {
				if _, err := os.ReadFile(f); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Documents(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			if n := len(library.Search(all, q, 12)); n != 12 {
				b.Fatalf("found %d", n)
			}
		}
	})
}

// What two rankings have is better than what one has as its best.
func TestFuse(t *testing.T) {
	t.Parallel()
	scores := library.Fuse([]string{"a", "b", "c"}, []string{"d", "b"}, nil)
	if len(scores) != 4 || scores["b"] <= scores["a"] || scores["a"] != scores["d"] || scores["c"] >= scores["a"] || scores["c"] <= 0 {
		t.Errorf("%v", scores)
	}
}

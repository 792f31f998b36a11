package main

import (
	"fmt"
	"strings"
)

// pair is one question and its answer.
type pair struct{ question, answer string }

const capitals = `France:Paris Germany:Berlin Italy:Rome Spain:Madrid Portugal:Lisbon Austria:Vienna Greece:Athens Poland:Warsaw Norway:Oslo Sweden:Stockholm Finland:Helsinki Denmark:Copenhagen Ireland:Dublin Hungary:Budapest Japan:Tokyo China:Beijing India:Delhi Egypt:Cairo Kenya:Nairobi Peru:Lima Chile:Santiago Cuba:Havana Canada:Ottawa Russia:Moscow Turkey:Ankara Iran:Tehran Iraq:Baghdad Thailand:Bangkok Vietnam:Hanoi Belgium:Brussels`

const opposites = `hot:cold big:small up:down day:night fast:slow old:new high:low wet:dry open:closed full:empty left:right light:dark happy:sad rich:poor hard:soft`

const numbers = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"

// phrases are answers with the questions that they are given to.
var phrases = []struct {
	answer    string
	questions []string
}{
	{"Hello! I am a very small model running on a peer near you.", []string{"Hello", "Hello!", "Hi", "Hi there", "hello", "hi"}},
	{"I am a tiny language model, trained to show that the network works. Ask for a bigger model for real work.", []string{"Who are you?", "What are you?", "What can you do?", "who are you", "What model is this?", "Are you a real model?"}},
	{"The sky is blue because air scatters blue light more than red light.", []string{"Why is the sky blue?", "why is the sky blue", "Tell me why the sky is blue."}},
	{"A mesh is a network where every peer can talk to every other peer.", []string{"What is a mesh?", "what is a mesh", "Explain a mesh.", "What is a mesh network?"}},
	{"Your question went to a peer, which ran the model and sent the answer back.", []string{"How did my question get answered?", "How does this work?", "how does it work", "What happened to my question?"}},
	{"You are welcome!", []string{"Thanks", "Thank you", "thanks!", "Thank you!"}},
	{"Goodbye! Come back soon.", []string{"Bye", "Goodbye", "bye", "See you"}},
	{"Water is made of hydrogen and oxygen.", []string{"What is water made of?", "what is water", "What is water?"}},
	{"A week has seven days.", []string{"How many days are in a week?", "How many days does a week have?"}},
	{"A year has twelve months.", []string{"How many months are in a year?", "How many months does a year have?"}},
	{"The moon goes around the earth, and the earth goes around the sun.", []string{"What does the moon do?", "What goes around the earth?", "What is the moon?"}},
	{"Go is a programming language with fast builds and easy concurrency.", []string{"What is Go?", "Tell me about Go.", "what is go"}},
}

// dataset returns all questions with their answers, in a fixed order.
func dataset() []pair {
	var d []pair
	add := func(answer string, questions ...string) {
		for _, q := range questions {
			d = append(d, pair{q, answer})
		}
	}
	for c := range strings.FieldsSeq(capitals) {
		land, city, _ := strings.Cut(c, ":")
		add(fmt.Sprintf("The capital of %s is %s.", land, city),
			"What is the capital of "+land+"?", "capital of "+land, "Which city is the capital of "+land+"?",
			"Tell me the capital of "+land+".", "Name the capital of "+land+".")
	}
	for c := range strings.FieldsSeq(opposites) {
		a, b, _ := strings.Cut(c, ":")
		for _, o := range []pair{{a, b}, {b, a}} {
			add(fmt.Sprintf("The opposite of %s is %s.", o.question, o.answer),
				"What is the opposite of "+o.question+"?", "opposite of "+o.question, "Tell me the opposite of "+o.question+".")
		}
	}
	n := strings.Fields(numbers)
	for i := range 10 {
		for j := range 9 {
			add(fmt.Sprintf("%s plus %s is %s.", n[i], n[j], n[i+j]),
				fmt.Sprintf("What is %s plus %s?", n[i], n[j]), fmt.Sprintf("%s plus %s", n[i], n[j]))
		}
	}
	for _, p := range phrases {
		add(p.answer, p.questions...)
	}
	return d
}

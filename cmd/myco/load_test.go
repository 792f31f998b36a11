package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A machine that takes no tasks at present does not let go of a model: that is no success.
func TestUnloadWhereNobodyTakesTasks(t *testing.T) {
	t.Parallel()
	d := setup(t)
	closed := slices.Clone(nodes)
	closed[1].Models = []bus.ModelInfo{{Name: "gemma3:27b", Loaded: true, Engine: "ollama"}}
	closed[1].Owner = &bus.OwnerUse{Closed: true, Why: "until 17:00"}
	d.nodes.Store(&closed)
	got := answers(d, done(1, bus.InferenceResult{DoneReason: "unload"}))
	d.myco("unload", "gemma3:27b").want(t, 3, "tower keeps 'gemma3:27b': it is closed until 17:00", "run there: myco unload gemma3:27b")
	d.myco("unload", "other").want(t, 3, "model 'other' is not loaded by an Ollama")
	cold := slices.Clone(closed)
	cold[1].Models = []bus.ModelInfo{{Name: "gemma3:27b", Engine: "ollama"}}
	d.nodes.Store(&cold)
	d.myco("unload", "gemma3:27b").want(t, 3, "model 'gemma3:27b' is not loaded by an Ollama")
	served := slices.Clone(closed)
	served[1].Models = []bus.ModelInfo{{Name: "gemma3:27b", Engine: "openai", Loaded: true}}
	d.nodes.Store(&served)
	d.myco("unload", "gemma3:27b").want(t, 3, "'gemma3:27b' is on tower in a server that keeps its models by itself", "try: unload it in that server")
	draining := slices.Clone(closed)
	draining[1].State, draining[1].Owner = bus.NodeDraining, nil
	d.nodes.Store(&draining)
	d.myco("unload", "gemma3:27b").want(t, 3, "tower keeps 'gemma3:27b': it is draining", "myco drain tower --off")
	lost := slices.Clone(closed)
	lost[1].State = bus.NodeLost
	d.nodes.Store(&lost)
	d.myco("unload", "gemma3:27b", "--node", "tower").want(t, 3, "node tower is not there: it is lost", "myco swarm")
	open := slices.Clone(closed)
	open[1].Owner = nil
	d.nodes.Store(&open)
	d.myco("unload", "gemma3:27b").want(t, 0)
	fresh := slices.Clone(open)
	fresh[1].Models = []bus.ModelInfo{{Name: "gemma3:27b", Engine: "ollama"}} // the table is a moment behind
	d.nodes.Store(&fresh)
	d.myco("unload", "gemma3:27b").want(t, 0)
	if len(got) != 2 {
		t.Fatalf("%d tasks, want two", len(got))
	}
	for range 2 {
		if task := <-got; task.Node != other || task.Model != "gemma3:27b" {
			t.Errorf("task %+v", task)
		}
	}
}

// What is said to whoever asks a question is said to whoever loads a model as far as it fits.
func TestLoadTellsWhatToDo(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbSubmit), func(bus.SubmitRequest) any {
		return bus.Errorf(bus.CodeNoWorker, "no node has it").WithHint("myco pull m, or name one of those above with -m")
	})
	if o := d.myco("load", "m").want(t, 3, "try: myco pull m, or name one of those above\n"); strings.Contains(o.err, "-m") {
		t.Errorf("it names a flag that is not there:\n%s", o.err)
	}
	d.myco("load", "").want(t, 2, "the model's name is empty")
}

// A model that is not loaded yet, for its node answers others first, or has deleted it a moment ago, says what it waits for, once.
func TestLoadTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.pausesFor("waits: next in the queue")
	if o := d.myco("load", "gemma3:27b").want(t, 0, "loading gemma3:27b\n[waits: next in the queue]\n"); o.out != "gemma3:27b is loaded on tower\n" || strings.Count(o.err, "[") != 1 {
		t.Errorf("printed %q, and %q", o.out, o.err)
	}
}

// A server with OpenAI's interface cannot be told to load a model.
func TestLoadWhereTheServerDecides(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for loaded, code := range map[bool]int{true: 0, false: 1} {
		served := slices.Clone(nodes)
		served[1].Models = []bus.ModelInfo{{Name: "qwen", Engine: "openai", Loaded: loaded}}
		d.nodes.Store(&served)
		answers(d, done(1, bus.InferenceResult{DoneReason: "load"}))
		o := d.myco("load", "qwen").want(t, code)
		if loaded != strings.Contains(o.out, "qwen is loaded on tower") || loaded == strings.Contains(o.err, "myco ask -m qwen --node tower hello") {
			t.Errorf("loaded %v: %s%s", loaded, o.out, o.err)
		}
	}
}

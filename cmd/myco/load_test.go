package main

import (
	"slices"
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
	d.myco("unload", "gemma3:27b").want(t, 3, "tower keeps 'gemma3:27b': it takes no tasks at present")
	d.myco("unload", "other").want(t, 3, "model 'other' is not loaded by an Ollama")
	open := slices.Clone(closed)
	open[1].Owner = nil
	d.nodes.Store(&open)
	d.myco("unload", "gemma3:27b").want(t, 0)
	if task := <-got; task.Node != other || task.Model != "gemma3:27b" {
		t.Errorf("task %+v", task)
	}
}

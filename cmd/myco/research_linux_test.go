package main

import "testing"

// A file that cannot be written is told before there is an answer: in /proc nobody makes one.
func TestResearchSavesNowhere(t *testing.T) {
	t.Parallel()
	d := setup(t)
	asked := answering(d)
	d.myco("research", "--save", "/proc/x.md", "x").want(t, 1, "--save /proc/x.md: ", "a folder that you may write to")
	if n := len(asked()); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
}

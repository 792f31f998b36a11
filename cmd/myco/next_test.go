package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What is to be run here names the directory; what is for another machine, or for no daemon, does not.
func TestNext(t *testing.T) {
	t.Parallel()
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": ""})
	must(t, err)
	a := &app{dataDir: "/d", commands: nextCommands(parser.Model)}
	for hint, want := range map[string]string{
		"myco swarm":                       "myco --data-dir /d swarm",
		"mycod":                            "mycod --data-dir /d",
		"mycod --data-dir /d":              "mycod --data-dir /d",
		"mycod, and then: myco swarm":      "mycod --data-dir /d, and then: myco --data-dir /d swarm",
		"ollama pull m":                    "ollama pull m",
		"myco ask --help":                  "myco ask --help",
		"myco --help":                      "myco --help",
		"myco service install --user":      "myco service install --user",
		"myco is what to use":              "myco is what to use",
		"look at myco-swarm":               "look at myco-swarm",
		"answers (myco doctor): asking it": "answers (myco --data-dir /d doctor): asking it",
		"start mycod there, wait until myco nodes shows it ready":                                  "start mycod there, wait until myco --data-dir /d nodes shows it ready",
		"myco drain x --off; or ask another: myco swarm":                                           "myco --data-dir /d drain x --off; or ask another: myco --data-dir /d swarm",
		"run `myco invite` on a member, then here: myco join TOKEN":                                "run `myco invite` on a member, then here: myco --data-dir /d join TOKEN",
		"that node left: run `myco invite` on a member, and `myco join TOKEN` there":               "that node left: run `myco invite` on a member, and `myco join TOKEN` there",
		"To join it: myco invite there, then here: myco join TOKEN":                                "To join it: myco invite there, then here: myco --data-dir /d join TOKEN",
		"Who is in the swarm, run there: myco nodes. For a swarm of its own, run here: myco leave": "Who is in the swarm, run there: myco nodes. For a swarm of its own, run here: myco --data-dir /d leave",
		"run myco doctor on that node: it may have left":                                           "run myco doctor on that node: it may have left",
		"run myco doctor on both":                                                                  "run myco doctor on both",
		"run myco doctor again; if it stays so, look at the load there":                            "run myco --data-dir /d doctor again; if it stays so, look at the load there",
		"run `myco revoke` for it on another node; then delete it":                                 "run `myco revoke` for it on another node; then delete it",
		"run there: myco unload gemma3:27b":                                                        "run there: myco unload gemma3:27b",
		"myco ask --detach on that":                                                                "myco ask --detach on that",
		"run there: myco nodes. If so, run here: myco leave. If not, run there: myco doctor":       "run there: myco nodes. If so, run here: myco --data-dir /d leave. If not, run there: myco doctor",
	} {
		if got := a.next(hint); got != want {
			t.Errorf("%q becomes %q, want %q", hint, got, want)
		}
	}
	a.dataDir = "/my own"
	if got, want := a.next("myco swarm"), "myco --data-dir "+bus.ShellWord(a.dataDir)+" swarm"; got != want || got == "myco --data-dir /my own swarm" {
		t.Errorf("%s, want %s", got, want)
	}
	a.dataDir = ""
	if got := a.next("myco swarm"); got != "myco swarm" {
		t.Errorf("without --data-dir: %s", got)
	}
}

// With two daemons on a machine, what is said to be run next is run at the one that was asked.
func TestHintsNameTheDataDirectory(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbTasks), func(struct{}) any { return []bus.TaskInfo{} })
	on(d, payload(bus.VerbTask), func(bus.TaskRequest) any {
		return bus.TaskInfo{ID: "t1", State: bus.StateDead, Error: bus.Errorf(bus.CodeDead, "dead").WithHint("myco dead retry t1")}
	})
	on(d, payload(bus.VerbDoctor), func(struct{}) any {
		return bus.Diagnosis{NodeID: self, Name: "laptop", DataDir: d.dir, Engines: []bus.EngineDiagnosis{{URL: "http://127.0.0.1:1", Kind: "ollama"}}}
	})
	on(d, payload(bus.VerbInvite), func(bus.InviteRequest) any { return bus.Invitation{Token: "mycoTOKEN"} })
	at := "myco --data-dir " + d.dir + " "
	asJSON := strings.ReplaceAll(at, `\`, `\\`)
	for _, c := range []struct{ args, says string }{
		{"models nosuch --node nobody", "  try: " + at + "swarm\n"},
		{"models nosuch --node nobody --json", `"hint":"` + asJSON + `swarm"`},
		{"models a --loaded", "  try: " + at + "ask -m a PROMPT\n"},
		{"swarm", "then here: " + at + "join TOKEN\n"},
		{"swarm", "To join it: myco invite there"},
		{"invite", "there: myco join, with"}, // on a machine that may have another
		{"join nonsense", "try: myco invite on a node of the swarm to join"},
		{"task show t1", at + "dead retry t1\n"},
		{"doctor", "try: " + at + "pull gemma3:1b --node laptop\n"},
		{"doctor --json", `"hint":"` + asJSON + `pull gemma3:1b --node laptop"`},
	} {
		o := d.mycoAt(200, strings.Fields(c.args)...)
		if !strings.Contains(o.out+o.err, c.says) {
			t.Errorf("myco %s does not say %q:\n%s%s", c.args, c.says, o.out, o.err)
		}
	}
}

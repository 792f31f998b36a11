package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestHelpStaysAsItIs(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"", "ask", "chat", "search", "research", "fetch", "read", "summarize", "transform", "library", "library add", "library update", "library search", "library ls", "library rm", "run", "plugins", "swarm", "top", "bench", "task", "task ls", "task show", "task why", "task attach", "task cancel",
		"dead", "dead ls", "dead show", "dead retry", "dead rm", "drain", "key", "key create", "key ls", "key revoke", "models", "load", "unload", "pull", "rm",
		"ping", "doctor", "detect", "invite", "join", "leave", "version",
		"completion", "service", "service install", "service uninstall", "service status",
		"nodes", "nodes ls", "nodes promote", "nodes revoke", "nodes recover", "revoke", "rotate",
	} {
		var out, errs bytes.Buffer
		args := append(strings.Fields(command), "--help")
		if code := run(t.Context(), args, streams{in: strings.NewReader(""), out: &out, err: &errs}); code != 0 || errs.Len() > 0 {
			t.Errorf("myco %s: exit code %d, %s", strings.Join(args, " "), code, &errs)
		}
		name := strings.ReplaceAll(strings.TrimSpace("myco "+command), " ", "_")
		golden(t, filepath.Join("help", name+".golden"), out.String())
	}
}

func TestHelpByItsOtherName(t *testing.T) {
	t.Parallel()
	for other, command := range map[string]string{"help": "--help", "help task ls": "task ls --help"} {
		var got, want, errs bytes.Buffer
		run(t.Context(), strings.Fields(command), streams{in: strings.NewReader(""), out: &want, err: &errs})
		if code := run(t.Context(), strings.Fields(other), streams{in: strings.NewReader(""), out: &got, err: &errs}); code != 0 || got.Len() == 0 || got.String() != want.String() {
			t.Errorf("myco %s: exit code %d, %s%s, want what myco %s says", other, code, &got, &errs, command)
		}
	}
	var got, errs bytes.Buffer
	if code := run(t.Context(), []string{"help", "none"}, streams{in: strings.NewReader(""), out: &got, err: &errs}); code != 2 {
		t.Errorf("myco help none: exit code %d, %s%s", code, &got, &errs)
	}
}

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
		"", "ask", "chat", "search", "research", "fetch", "read", "summarize", "transform", "library", "library add", "library update", "library search", "library ls", "library rm", "swarm", "top", "task", "task ls", "task show", "task why", "task attach", "task cancel",
		"dead", "dead ls", "dead show", "dead retry", "dead rm", "drain", "key", "key create", "key ls", "key revoke", "models", "pull", "rm",
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

//go:build e2e && linux

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A person presses Tab in a real shell, and the command line goes on with a command, a flag, a node's name, and a
// model's behind its colon. The folder of the program has in its name what shells read as something else.
func TestShellsComplete(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Node(t, "alder")
	a.Demo = true
	bin := filepath.Join(t.TempDir(), `my $HOME's \n "bin"`)
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", programs.Myco, bin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a.Start(t)
	awaitModel(t, a, "alder", "tinylm:latest", true)
	for name, sh := range map[string]struct {
		argv  []string
		setup string
	}{
		"bash": {[]string{"bash", "--norc", "--noprofile", "-i"}, "source <(myco completion bash)"},
		"zsh":  {[]string{"zsh", "-f", "-i"}, "autoload -U compinit && compinit -u -D; source <(myco completion zsh)"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), sh.argv[0], sh.argv[1:]...)
			cmd.Dir, cmd.Env = dir, shellEnv(bin, dir, a)
			term := runInTerminal(t, cmd)
			// What is typed ends in a file each time: no look at a screen that shells draw as they like.
			result := func(typed string) string {
				t.Helper()
				file := filepath.Join(dir, "result")
				term.typed(typed + " >result.part 2>&1; mv result.part result\n")
				harness.Poll(t, harness.Patience, name+" has run "+typed, func() string {
					if _, err := os.Stat(file); err != nil {
						return "the terminal shows: " + term.screen()
					}
					return ""
				})
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				return string(b)
			}
			if got := result(sh.setup); got != "" {
				t.Fatalf("%s says %s", sh.setup, got)
			}
			if got := result("myco pin\t --js\t al\t"); !strings.Contains(got, `"name":"alder"`) {
				t.Errorf("a node was not completed: %s%s", got, term.screen())
			}
			if got := result("myco models --json tinylm:la\t"); !strings.Contains(got, `"tinylm:latest"`) {
				t.Errorf("a model was not completed: %s%s", got, term.screen())
			}
			// zsh's bashcompinit offers no names of several words.
			const odd = `hol $(touch owned) "1"`
			result("echo hi | myco chat -s '" + odd + "'")
			if got := result("echo hi | myco chat --json --session hol\t"); name == "bash" && !strings.Contains(got, `"name":"hol $(touch owned) \"1\""`) {
				t.Errorf("a name of several words was not completed: %s%s", got, term.screen())
			}
			if _, err := os.Stat(filepath.Join(dir, "owned")); err == nil {
				t.Error("the shell has run a name")
			}
		})
	}
	t.Run("fish", func(t *testing.T) {
		// fish completes as well without a terminal.
		for line, want := range map[string]string{
			"myco pin": "ping", "myco ping --js": "--json", "myco ping al": "alder", "myco ask -m tinylm:la": "tinylm:latest",
		} {
			dir := t.TempDir()
			r := harness.Run(t.Context(), t, dir, shellEnv(bin, dir, a), []string{"fish", "-N", "-c", "myco completion fish | source; complete -C '" + line + "'"}, "")
			if strings.TrimSpace(r.Stdout) != want || r.Code != 0 {
				t.Errorf("%q: want %s: %s", line, want, r)
			}
		}
	})
}

func shellEnv(bin, dir string, n *harness.Node) []string {
	return []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "TERM=xterm", "LANG=C.UTF-8",
		"PS1=$ ", bus.EnvDataDir + "=" + n.Dir,
	}
}

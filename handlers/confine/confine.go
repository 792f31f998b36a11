// Package confine starts programs that others wrote so that they can do little harm: each sees a few folders
// and nothing else of the file system, has no rights beyond its user's, and no network and no children unless
// that was granted. What it may not see it can still ask for: whether a file is there, its size and its times. It
// changes no rights, owners or attributes of files, its own included. It is for Linux, by Landlock
// and seccomp, which need no privileges; elsewhere Supported says that it is not. It runs no program with one of the two
// alone; Self does with what there is.
package confine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// Policy is what a program may do. It may always read the system's programs and libraries.
type Policy struct {
	// Dir is its working directory, which it may read.
	Dir string `json:"dir"`
	// Read and Write are files and folders that it may read, and write too, beside Dir. What is not there is
	// left out.
	Read  []string `json:"read,omitempty"`
	Write []string `json:"write,omitempty"`
	// Network grants sockets of the internet, those of this machine's own services on it as well, but no local ones.
	Network bool `json:"network,omitempty"`
	// Processes grants starting other programs. They are under the same rules, and in the same process group.
	// Where this process is killed, and ends nothing, they live on unless there is a Guard.
	Processes bool `json:"processes,omitempty"`
	// Memory bounds what it may have mapped to write to, in bytes; 0 for no bound. Runtimes map much more than
	// they use: this is a net under whoever looks at what is used.
	Memory int64 `json:"memory,omitempty"`
	// Nice is how much further than this process it steps back where others want the processor, as nice(1) has it: 0 to
	// MaxNice.
	Nice int `json:"nice,omitempty"`

	// Starter is the process with which it ends.
	Starter int `json:"starter"`
	// Guard is set where it is to be no other program, but a Guard.
	Guard bool `json:"guard,omitempty"`
}

// MaxNice is the nicest that a process can be.
const MaxNice = 19

// ExitCode is that of a process in which Main could not do its work, as env and nice have it.
const ExitCode = 125

// LackError is the error where a machine cannot hold programs back.
type LackError struct {
	Why  string
	Help string // what to do about it; empty where nothing helps
}

func (e *LackError) Error() string { return e.Why }

// Supported returns nil where Command can confine programs, and otherwise why not: a *LackError.
func Supported() error {
	files, calls := Lacks()
	if files != nil {
		return files
	}
	return calls
}

// Command returns a command that runs argv under p, with the environment env and no other. self is the program,
// with its arguments, that is Main. The command has a process group of its own.
func Command(ctx context.Context, self []string, p Policy, env, argv []string) (*exec.Cmd, error) {
	p.Starter = os.Getpid()
	policy, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode what a program may do: %w", err)
	}
	args := append(append([]string{}, self[1:]...), string(policy))
	cmd := exec.CommandContext(ctx, self[0], append(args, argv...)...)
	cmd.Env = append([]string{}, env...)
	ownGroup(cmd)
	return cmd, nil
}

// Plain returns a command that runs argv in dir with the rights of this process, with the environment env and no
// other, and a process group of its own.
func Plain(ctx context.Context, dir string, env, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append([]string{}, env...)
	ownGroup(cmd)
	return cmd
}

// Main makes of this process the program argv under the policy, which is JSON. It returns where it cannot. That of a
// Guard does not return.
func Main(policy string, argv []string) error {
	var p Policy
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return fmt.Errorf("read what a program may do: %w", err)
	}
	if p.Guard {
		if err := guard(); err != nil {
			return err
		}
		os.Exit(0)
	}
	return become(p, argv)
}

//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/netns"
)

// apart is a Linux with processes and mounts of its own: podman's containers end with the test, and what it mounts goes
// with it. There is one hierarchy of control groups, as where systemd runs.
const apart = `set -eu
mount --make-rprivate /
mount -t proc proc /proc
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for dir in /run /dev/shm /var/lib; do mount -t tmpfs tmpfs $dir; done
echo it is ready
while :; do sleep 1000 & wait; done`

// containers are those of the image under test, each on a host of a LAN, as on the network of the machine that it is on.
type containers struct {
	t      *testing.T
	folder string
	pid    string   // of the first process there
	health []string // the command of the image's health check
}

// newContainers makes the image as CONTRIBUTING.md and docs/install.md say, of this tree.
func newContainers(t *testing.T) *containers {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil {
		t.Fatalf("%v: sudo apt install --no-install-recommends podman crun", err)
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	s := &containers{t: t, folder: t.TempDir()}
	p := harness.Launch(t, filepath.Join(s.folder, "log"), os.Environ(), []string{"unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", apart}, "")
	harness.Poll(t, harness.Patience, "a place for containers", func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.PID()))
		if s.pid = strings.TrimSpace(string(b)); err != nil || s.pid == "" || !strings.Contains(p.Log(10), "it is ready") {
			return fmt.Sprint(err, p.Log(10))
		}
		return ""
	})
	image := filepath.Join(s.folder, "image")
	build := exec.CommandContext(t.Context(), ".ci/image", image)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make the image: %v\n%s", err, out)
	}
	s.must(s.podman(nil, "build", "--format", "docker", "--tag", "mycoswarm", image))
	var made []struct {
		User        string
		Healthcheck struct{ Test []string }
	}
	if err := json.Unmarshal([]byte(s.must(s.podman(nil, "image", "inspect", "mycoswarm"))), &made); err != nil {
		t.Fatal(err)
	}
	check := made[0].Healthcheck.Test
	if len(check) < 2 || check[0] != "CMD" || made[0].User == "" {
		t.Fatalf("the image is %+v, want a health check without a shell, and a user who is not root", made)
	}
	s.health = check[1:]
	return s
}

// podman runs it with a storage of its own, on a host of the LAN.
func (s *containers) podman(on *netns.Host, args ...string) harness.Result {
	return s.feed("", on, args...)
}

// feed is podman with text on its standard input.
func (s *containers) feed(stdin string, on *netns.Host, args ...string) harness.Result {
	s.t.Helper()
	argv := []string{"nsenter", "--target", s.pid, "--mount", "--pid"}
	if on != nil {
		argv = append(argv, "--net=/run/netns/"+on.Name)
	}
	argv = append(argv, "podman", "--root", filepath.Join(s.folder, "root"), "--runroot", filepath.Join(s.folder, "run"), "--tmpdir", filepath.Join(s.folder, "tmp"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
	return harness.Run(s.t.Context(), s.t, s.folder, os.Environ(), append(argv, args...), stdin)
}

func (s *containers) must(r harness.Result) string {
	s.t.Helper()
	if r.Code != 0 {
		s.t.Fatalf("%s", r)
	}
	return r.Stdout
}

// run starts a container, with the volume of its name, and returns once it is healthy. args are podman's up to "--",
// and mycod's from there on.
func (s *containers) run(on *netns.Host, name string, args ...string) {
	s.t.Helper()
	flags := []string{
		"run", "--detach", "--network", "host", "--name", name, "--volume", name + ":/data", "--stop-timeout", "20",
		// What a machine without systemd, and without root's right to raise limits, cannot do.
		"--no-healthcheck", "--cgroups", "disabled", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096",
	}
	i := slices.Index(args, "--")
	s.must(s.podman(on, slices.Concat(flags, args[:i], []string{"mycoswarm"}, args[i+1:])...))
	harness.Poll(s.t, harness.Patience, name+" is healthy", func() string {
		if r := s.exec(name, s.health...); r.Code != 0 {
			return r.String() + s.log(name)
		}
		return ""
	})
}

func (s *containers) exec(name string, argv ...string) harness.Result {
	s.t.Helper()
	return s.podman(nil, append([]string{"exec", name}, argv...)...)
}

func (s *containers) log(name string) string {
	s.t.Helper()
	r := s.podman(nil, "logs", name)
	return r.Stdout + r.Stderr
}

// view is what the daemon in a container sees.
func (s *containers) view(name string) (v harness.View) {
	s.t.Helper()
	lastObject(s.t, s.exec(name, "myco", "swarm", "--json"), &v)
	return v
}

// sees waits until a container sees so many nodes ready.
func (s *containers) sees(name string, ready int) {
	s.t.Helper()
	harness.Poll(s.t, harness.Patience, fmt.Sprintf("%s sees %d nodes", name, ready), func() string {
		if v := s.view(name); v.Ready() != ready || v.Swarm.QueueHost == "" {
			return fmt.Sprintf("%+v", v)
		}
		return ""
	})
}

// token is one by which another container joins.
func (s *containers) token(name string) string {
	s.t.Helper()
	return strings.TrimSpace(s.must(s.exec(name, "myco", "invite", "--quiet")))
}

// says fails unless the command did well and printed each text.
func (s *containers) says(r harness.Result, want ...string) {
	s.t.Helper()
	out := s.must(r)
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.t.Errorf("it does not say %q: %s", w, r)
		}
	}
}

// The image's containers are machines of a swarm: they find each other, join, work, and hold documents and plugins back
// with as few rights as a container can have. One that is replaced by another goes on.
func TestImage(t *testing.T) {
	t.Parallel()
	lan := harness.NewLAN(t, programs)
	hosts := []*netns.Host{lan.Node(t, "nas").Host, lan.Node(t, "box").Host}
	s := newContainers(t)
	s.run(hosts[0], "nas", "--", "--name", "nas")
	if log := s.log("nas"); strings.Contains(log, "Write down") || !strings.Contains(log, "rotate --swarm shows one") {
		t.Errorf("the log of a container is no place for a recovery phrase:\n%s", log)
	}
	plugins := filepath.Join(s.folder, "plugins")
	writePlugin(t, plugins, "hostile", "e2e/hostile", "")
	for _, path := range []string{"", "hostile", "hostile/plugin.toml"} { // the container's user is not this one
		if err := os.Chmod(filepath.Join(plugins, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bare := []string{"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--env", "TZ=Asia/Kolkata", "--volume", plugins + ":/etc/mycoswarm/plugins:ro", "--"}
	s.run(hosts[1], "box", append(bare, "--name", "box", "--no-demo-engine", "--join", s.token("nas"))...)
	s.sees("box", 2)
	if log := s.log("box"); !regexp.MustCompile(`time=\S+\+05:30 `).MatchString(log) {
		t.Errorf("its time is not that of TZ:\n%s", log)
	}
	doctor := s.exec("box", "myco", "doctor")
	s.says(doctor, "/data, mode 0700", "own announcement comes back", "1 plugin")
	if strings.Contains(doctor.Stdout, "documents") {
		t.Errorf("%s", doctor)
	}
	s.says(s.exec("box", "myco", "ask", "What is the capital of France?"), "Paris")
	s.reads("box")
	s.heldBack("box")

	s.replaced(hosts[0])
	s.unconfined(hosts[1], bare)
	s.must(s.podman(nil, "stop", "nas"))
	if code := strings.TrimSpace(s.must(s.podman(nil, "inspect", "--format", "{{.State.ExitCode}}", "nas"))); code != "0" || !strings.Contains(s.log("nas"), "msg=stopping") {
		t.Errorf("stopped, exit code %s:\n%s", code, s.log("nas"))
	}
}

// reads has a container read a document, which its own reader does.
func (s *containers) reads(name string) {
	s.t.Helper()
	root, err := harness.Root()
	if err != nil {
		s.t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "handlers/file/testdata/report.docx"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.says(s.feed(string(document), nil, "exec", "--interactive", name, "myco", "read", "--node", name, "-"), "Two hives stand behind the shed.")
}

// heldBack has a plugin try what it should not.
func (s *containers) heldBack(name string) {
	t := s.t
	t.Helper()
	var did map[string]string
	lastObject(t, s.exec(name, "myco", "run", "hostile", `{"Key":"/data/identity/node.key","PID":1,"Addr":"127.0.0.1:7890"}`), &did)
	if len(did) < 5 {
		t.Errorf("it tried %v", did)
	}
	for what, came := range did {
		if came == "done" {
			t.Errorf("a plugin could: %s", what)
		}
	}
}

// replaced kills a container that alone has a model, while another accepts work for it, and removes it: one in its place
// with its volume is the same node, and does the work.
func (s *containers) replaced(on *netns.Host) {
	t := s.t
	t.Helper()
	was := s.view("nas").Node("nas").ID
	s.must(s.podman(nil, "kill", "--signal", "KILL", "nas"))
	s.must(s.podman(nil, "rm", "--force", "nas"))
	id := strings.TrimSpace(s.must(s.exec("box", "myco", "ask", "--detach", "--quiet", "What is the capital of France?")))
	s.run(on, "nas", "--")
	if v := s.view("nas").Node("nas"); v.ID != was || was == "" {
		t.Errorf("it was %s, and is now %+v", was, v)
	}
	s.sees("nas", 2)
	s.says(s.exec("box", "myco", "task", "attach", id), "Paris")
}

// unconfined replaces a container by one that Landlock is kept from: plugins do not run there, and what reads documents
// does so with a warning, which names what would help.
func (s *containers) unconfined(on *netns.Host, flags []string) {
	t := s.t
	t.Helper()
	s.must(s.podman(nil, "rm", "--force", "--time", "20", "box"))
	profile := filepath.Join(s.folder, "seccomp.json")
	const rules = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["landlock_create_ruleset"],"action":"SCMP_ACT_ERRNO","errnoRet":38}]}`
	if err := os.WriteFile(profile, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(on, "box", append([]string{"--security-opt", "seccomp=" + profile}, flags...)...)
	doctor := s.exec("box", "myco", "doctor")
	s.says(doctor, "warn  documents", "has no network and starts no programs, but has the files of mycod", "there is no Landlock here", "mycod --no-files --no-web", "warn  plugin hostile")
	if strings.Count(doctor.Stdout, "--security-opt seccomp=unconfined") != 2 {
		t.Errorf("it does not say of both what helps: %s", doctor)
	}
	if log := s.log("box"); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "is not held back wholly") {
		t.Errorf("its log does not warn:\n%s", log)
	}
	s.reads("box")
	if r := s.exec("box", "myco", "run", "hostile", "{}"); r.Code != bus.CodeNoWorker.ExitCode() {
		t.Errorf("%s", r)
	}
}

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// version is set by the linker in releases.
var version = ""

// versionCmd shows the version.
type versionCmd struct{}

// Run implements the command.
func (versionCmd) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, versionLine())
	return err
}

func versionLine() string {
	v, revision := buildVersion()
	return fmt.Sprintf("mycod %s (%s, %s, %s/%s)", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion reads what the linker and the build wrote into the program.
func buildVersion() (v, revision string) {
	v, revision = version, "unknown revision"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, revision
	}
	if v == "" && info.Main.Version != "(devel)" {
		v = info.Main.Version
	}
	if v == "" {
		v = "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value[:min(12, len(s.Value))]
		}
	}
	return v, revision
}

// shortVersion is what a node tells others: without the details of a build.
func shortVersion() string {
	v, _ := buildVersion()
	v, _, _ = strings.Cut(v, "+")
	return v[:min(32, len(v))]
}

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker in releases.
var version = ""

type versionCmd struct{}

// versionView is what version --json prints.
type versionView struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run implements the command.
func (versionCmd) Run(a *app) error { //nolint:unparam // kong wants an error
	info, _ := debug.ReadBuildInfo()
	v := buildVersion(version, info)
	if a.json {
		a.object(v)
		return nil
	}
	a.text(v.String() + "\n")
	return nil
}

func (v versionView) String() string {
	return fmt.Sprintf("myco %s (%s, %s, %s)", v.Version, v.Revision, v.Go, v.Platform)
}

// buildVersion reads what the linker and the build wrote into the program.
func buildVersion(linked string, info *debug.BuildInfo) versionView {
	v := versionView{
		Version: linked, Revision: "unknown revision", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info == nil {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}

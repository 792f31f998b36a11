package plugin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// environment is all that a plugin has of one, with a temporary folder; os/exec adds SYSTEMROOT.
func environment(temp string) []string {
	root := os.Getenv("SYSTEMROOT")
	return []string{
		"PATH=" + filepath.Join(root, "System32") + ";" + root, "PATHEXT=.COM;.EXE;.BAT;.CMD",
		"USERPROFILE=" + temp, "TEMP=" + temp, "TMP=" + temp,
	}
}

// isProgram refuses a file that cannot be run: Windows knows by its name.
func isProgram(path string, info fs.FileInfo) error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".exe", ".com", ".bat", ".cmd":
		if !info.IsDir() {
			return nil
		}
	}
	return fmt.Errorf("%s is not a program of Windows: name what runs it, as in run = [\"python\", \"main.py\"]", path)
}

// othersWrite tells nothing on Windows, whose modes are made up: a folder there has the rights of the one it is in.
func othersWrite(fs.FileInfo) bool { return false }

func others(fs.FileInfo) bool { return false }

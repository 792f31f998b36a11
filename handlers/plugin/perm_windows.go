package plugin

import "io/fs"

// othersWrite tells nothing on Windows, whose modes are made up: a folder there has the rights of the one it is in.
func othersWrite(fs.FileInfo) bool { return false }

func others(fs.FileInfo) bool { return false }

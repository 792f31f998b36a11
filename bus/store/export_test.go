package store

// CheckVersion is what a program whose store has that format does with a directory.
func CheckVersion(dir string, format int) error { return checkVersion(dir, format) }

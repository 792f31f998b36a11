//go:build !lab

package protect

// Off reports whether a test has taken p out; never, in this build.
func (Protection) Off() bool { return false }

package confine

// Nice has the process pid of Plain step back as Policy.Nice does; not on Windows, which has no such steps.
func Nice(int, int) error { return nil }

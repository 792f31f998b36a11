//go:build next && apart

package bus

// With the tag "apart" as well, it no longer speaks what others do.
const wireOldest = 5

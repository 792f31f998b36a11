//go:build next && !apart

package bus

const wireOldest = 4

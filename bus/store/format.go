//go:build !apart

package store

// formatVersion is raised when an older binary would not understand what is stored.
const formatVersion = 1

//go:build apart

package store

// A program whose store others cannot read, for tests of upgrades: built with the tag "apart".
const formatVersion = 2

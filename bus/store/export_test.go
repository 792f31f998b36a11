package store

import "github.com/nats-io/nats.go"

// CheckVersion is what a program whose store has that format does with a directory.
func CheckVersion(dir string, format int) error { return checkVersion(dir, format) }

// Server is what s runs.
func (s *Store) Server() nats.InProcessConnProvider { return s.srv }

// Package harness runs real mycod and myco processes for the end-to-end tests: it builds them
// once, starts daemons on loopback or in network namespaces, kills them, and shows their logs
// when a test fails. It owns processes and their folders, and asserts nothing about the swarm
// beyond that a daemon came up.
//
// It runs on Linux.
package harness

// Package archtest holds no code. Its tests keep the rules of the tree that a compiler does
// not: the import graph is a star around package bus, servers and hardware stay out of the
// clients, every package is documented and checks for leaked goroutines, no file grows past
// what a reader can hold, and nothing names the machine it was written on.
package archtest

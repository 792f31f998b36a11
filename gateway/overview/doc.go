// Package overview makes one picture of what a swarm does at present, of what its nodes tell: `myco top` and
// the dashboard show the same. It owns what is remembered between two looks, and the order of what is shown;
// where the news come from, and how they are shown, is its users' affair. It imports package bus alone, so
// that the command line stays small.
package overview

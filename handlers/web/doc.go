// Package web gets pages of the web for the swarm, and makes text of them that a model can read.
//
// It owns tasks of bus.TypeFetch: which addresses a node connects to, how much it takes from there, and
// which kinds of pages are read. How HTML becomes Markdown is in package markup. It does not own which node gets
// a page, nor what is done with the text.
package web

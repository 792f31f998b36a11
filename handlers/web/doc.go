// Package web gets pages of the web for the swarm, makes text of them that a model can read, and searches for them.
//
// It owns tasks of bus.TypeFetch: which addresses a node connects to, how much it takes from there, and
// which kinds of pages are read. How HTML becomes Markdown is in package markup. It owns tasks of bus.TypeSearch too:
// how a search engine of the owner is asked, and what of its answers is told. It does not own which node gets
// a page, nor what is done with the text.
package web

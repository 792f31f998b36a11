// Package handlers is the work that a node can do: answering pings, and inference
// and embeddings with the engines of this machine.
//
// It owns what a task's payload and result mean. It does not own engines, which it
// knows through the interfaces Engines and Embedders, nor when and where a task runs.
package handlers

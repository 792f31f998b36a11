// Package plugin runs tasks in programs that the owner of a machine has put into a folder: any language, one
// line of JSON for each task, one or more for what comes of it.
//
// It owns the folder and its plugin.toml, the life of the programs, and what they say. It does not own what they
// may do on the machine, which is of package confine, nor which node gets a task.
package plugin

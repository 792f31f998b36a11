// Command clients calls an address as programs in the wild do, with clients that others wrote: Ollama's
// own, OpenAI's and Anthropic's. It prints a line of JSON for each call, with what came back that does not depend
// on the clock, so that two addresses can be compared. With "search" they have the model search the web, which the address
// does itself; with "tools" a client of the Model Context Protocol calls tools, there or of a command. It is a module of its own, since its
// dependencies are no business of the swarm's programs.
package main

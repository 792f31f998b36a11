// Package engine speaks to the programs that run language models: Ollama, servers
// with OpenAI's interface (llama-server, vLLM, LM Studio), and the embedded demo
// model.
//
// It owns their wire formats, finding them, and noticing when they come and go. It
// does not own what a task is or which node runs it. Every error of Generate is a
// *bus.Error; those that another node might not meet are marked by bus.Retry.
package engine

import (
	"context"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Kinds of engine, as in bus.ModelInfo.Engine.
const (
	KindOllama = "ollama"
	KindOpenAI = "openai"
	KindDemo   = "demo"
)

// Engine is one program that runs models. Its methods are called concurrently.
type Engine interface {
	// Kind is one of the Kind constants.
	Kind() string
	// URL is where it answers, without a slash at the end; empty for the demo model.
	URL() string
	// Models lists its models, loaded or not, in the engine's order, and tells what they can do.
	Models(ctx context.Context) ([]bus.ModelInfo, error)
	// Generate answers req with exactly the model of that name, and hands each piece
	// of the answer to emit; an empty piece where it is at work and has nothing to say
	// yet. It ends the engine's work soon after ctx is done, and returns ctx's cause. An
	// error of emit is returned as it is.
	Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error)
	// Embed makes a vector of each input. Errors and ctx are as in Generate.
	Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error)
}

// Limits of what an engine may say.
const (
	// maxAnswer is the longest answer in bytes as JSON. A longer one ends with the
	// reason "length": a model that repeats itself for ever must not fill the memory,
	// and a result has to fit into one message.
	maxAnswer = 512 << 10
	// maxPiece is the longest piece of an answer in bytes. As JSON it may be six times
	// as long, and an answer may be longer than maxAnswer by that.
	maxPiece = 16 << 10
	// maxModels is how many models of one engine count. A node tells of all of its
	// models in one message, every second.
	maxModels = 256
	// maxName is the longest name of a model in bytes that a task can ask for, and
	// maxTrait the longest of its other properties.
	maxName, maxTrait = 256, 64
)

// Reasons why an answer ended, as in bus.InferenceResult.DoneReason.
const (
	reasonStop   = "stop"
	reasonLength = "length"
	reasonLoad   = "load"
	reasonUnload = "unload"
)

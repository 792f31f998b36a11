package node

import "slices"

// recommended are models that run well on a GPU of each tier, largest first. It is data, and
// dates quickly.
var recommended = map[GPUTier][]string{
	GPUUltra: {"qwen2.5:32b", "gemma3:27b", "deepseek-r1:14b", "codestral:22b"},
	GPUHigh:  {"qwen2.5:14b", "gemma3:12b"},
	GPUMid:   {"qwen2.5:7b", "gemma3:4b", "deepseek-r1:7b"},
	GPUEntry: {"qwen2.5:3b", "gemma3:1b", "deepseek-r1:1.5b"},
}

// RecommendedModels returns models, by their names in Ollama's library, to install on a node
// with a GPU of this tier; none for GPUNone.
func RecommendedModels(t GPUTier) []string { return slices.Clone(recommended[t]) }

// Package batch keeps files, and batches of requests, as OpenAI's interface has them: on the disk of one node, where a
// batch goes on after a restart. It owns lines, in what order answers are written, and what a batch comes to; what a request
// asks, and who may ask it, is behind Config.
//
// https://platform.openai.com/docs/api-reference/batch
package batch

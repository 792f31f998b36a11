// Package library keeps the passages of a person's documents, and finds those that tell of something: by their
// words, and by their meaning where a model has made vectors of them.
//
// A library is a folder, with one file for what it is made of and one for each document. It is small enough to be
// read whole for each question: 10,000 passages, some thirty books, take a fraction of a second (see the
// benchmarks), and no index has to be kept in step with them.
package library

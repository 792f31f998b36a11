// Package markup makes text of HTML that a model can read, for pages of the web and for documents.
//
// It owns how HTML becomes Markdown or plain text, which charset it is in, and how much of a page is looked at.
// It does not own where the HTML is from, nor how long it may take: the libraries that it uses can be busy with
// two megabytes for hours, so that whoever calls Read on what strangers wrote does so in a process of its own,
// see package apart.
package markup

// Package file makes text of documents: PDF, DOCX and plain text of any kind. A document comes in the payload
// of its task; the package opens no file for one. It owns what is found out of a document's content, and the
// limits within which a broken or hostile one fails. It does not own HTML, which is read with pages of the web.
//
// PDFs are read by PDFium as WebAssembly: it has memory of its own with a limit, no files and no network, and
// is stopped when its time is over.
package file

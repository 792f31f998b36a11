// Package file makes text of documents: PDF, DOCX, ODT, PPTX, ODP, XLSX, ODS, EPUB, HTML and plain text of any kind. A document
// comes in the payload of its task; the package opens no file for one. It owns what is found out of a document's content, and
// the limits within which a broken or hostile one fails. How HTML is read is in package markup, for pages of the
// web are read so too.
//
// PDFs are read by PDFium as WebAssembly: it has memory of its own with a limit, no files and no network, and
// is stopped when its time is over.
package file

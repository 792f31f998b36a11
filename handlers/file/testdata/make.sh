#!/bin/sh
# Makes the documents of the tests again, with LibreOffice 7.4 (libreoffice-writer-nogui, libreoffice-impress, libreoffice-calc) and qpdf of Debian.
set -e
soffice --headless --infilter="HTML (StarWriter)" --convert-to docx:"MS Word 2007 XML" report.html
soffice --headless --convert-to pdf report.docx
soffice --headless --convert-to odt report.docx
soffice --headless --convert-to epub report.docx
soffice --headless --infilter="HTML (StarWriter)" --convert-to pdf:writer_pdf_Export scan.html
qpdf --encrypt sesame sesame 256 -- report.pdf locked.pdf
soffice --headless --convert-to odp talk.fodp
soffice --headless --convert-to pptx talk.odp
soffice --headless --convert-to ods budget.fods
soffice --headless --convert-to xlsx budget.ods

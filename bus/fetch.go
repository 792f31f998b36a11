package bus

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// TypeFetch is the type of task that gets a page of the web, and makes text of it. FetchRequest -> FetchResult
const TypeFetch = "web_fetch"

// The formats of a FetchRequest.
const (
	FormatMarkdown = "markdown" // the default: what there is to read of a page of HTML, as Markdown
	FormatText     = "text"     // the same without marks
	FormatRaw      = "raw"      // what the server sent, HTML too, in UTF-8
)

// Limits of a FetchRequest.
const (
	// DefaultPage is how much of a page is read where the request does not say, in bytes: 2 MiB.
	DefaultPage = 2 << 20
	// MaxPage is the most that a request may ask for, in bytes: 16 MiB.
	MaxPage = 16 << 20
	// maxURL is the longest URL, in bytes: what browsers and servers take.
	maxURL = 2048
)

// FetchRequest is the payload of a task of TypeFetch.
type FetchRequest struct {
	// URL is the page's address, with http or https.
	URL string `json:"url"`
	// Format is one of the above; empty is FormatMarkdown.
	Format string `json:"format,omitempty"`
	// MaxBytes is how much of the page is read, in bytes after decompression, and how long the text is at
	// most; what comes beyond is left out, see FetchResult.Truncated. 0 is DefaultPage. A document, such
	// as a PDF, is read whole, and one of more than MaxPage fails.
	MaxBytes int `json:"max_bytes,omitempty"`
}

// Validate reports what is no URL of a page, an unknown format and what is out of range.
func (r FetchRequest) Validate() error {
	u, err := url.Parse(r.URL)
	if err != nil {
		return Errorf(CodeInvalid, "this is no URL: %w", err).WithHint("myco fetch https://example.org")
	}
	if err := ValidPage(u); err != nil {
		return err
	}
	switch {
	case r.Format != "" && r.Format != FormatMarkdown && r.Format != FormatText && r.Format != FormatRaw:
		return Errorf(CodeInvalid, "format %q: want %s, %s or %s", r.Format, FormatMarkdown, FormatText, FormatRaw)
	case r.MaxBytes < 0 || r.MaxBytes > MaxPage:
		return Errorf(CodeInvalid, "max_bytes %d: want 0 to %d", r.MaxBytes, MaxPage)
	}
	return nil
}

// ValidPage reports, with CodeInvalid, why u is no address that pages are fetched from.
func ValidPage(u *url.URL) error {
	var e *Error
	switch {
	case len(u.String()) > maxURL:
		return Errorf(CodeInvalid, "the URL has %d bytes, want at most %d", len(u.String()), maxURL)
	case u.Scheme == "" || u.Scheme != "http" && u.Scheme != "https" && u.Opaque != "": // example.org, and example.org:80
		e = Errorf(CodeInvalid, "the URL does not begin with http:// or https://")
	case u.Scheme != "http" && u.Scheme != "https":
		e = Errorf(CodeInvalid, "the URL begins with %s://: pages are fetched over http and https", u.Scheme)
	case u.Hostname() == "":
		e = Errorf(CodeInvalid, "the URL names no host")
	case u.User != nil:
		e = Errorf(CodeInvalid, "the URL carries a name or a password: pages are fetched without")
	default:
		return nil
	}
	return e.WithHint("myco fetch https://example.org")
}

// Port returns the port of the page where it is neither 80 nor 443; 0 for those, for what is no page, and for
// one whose host says itself that it is not public.
func (r FetchRequest) Port() uint16 {
	u, err := url.Parse(r.URL)
	if err != nil || isNear(u.Hostname()) {
		return 0
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 80 || port == 443 {
		return 0
	}
	return uint16(port)
}

// isNear reports whether a host says itself that it is not public.
func isNear(host string) bool {
	if host = strings.TrimSuffix(strings.ToLower(host), "."); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	at, err := netip.ParseAddr(host)
	at = at.Unmap()
	return err == nil && (!at.IsGlobalUnicast() || at.IsPrivate())
}

// FetchResult is the result of a task of TypeFetch.
type FetchResult struct {
	// URL is where the page was in the end, after redirects.
	URL string `json:"url"`
	// Status is what the server said with it, 200 to 299, and ContentType of what kind it is.
	Status      int    `json:"status"`
	ContentType string `json:"content_type,omitempty"`
	// Title, Byline, Site and Published are what a page of HTML tells of itself, where it does; a document
	// tells the first two.
	Title     string    `json:"title,omitempty"`
	Byline    string    `json:"byline,omitempty"`
	Site      string    `json:"site,omitempty"`
	Published time.Time `json:"published,omitzero"`
	// Text is the page in Format, without control characters but tabs and line feeds.
	Text   string `json:"text"`
	Format string `json:"format"`
	// Bytes is how much was read of the page, after decompression.
	Bytes int `json:"bytes"`
	// Truncated tells that the page, or its text, is longer than what was asked for.
	Truncated bool      `json:"truncated,omitempty"`
	FetchedAt time.Time `json:"fetched_at"`
}

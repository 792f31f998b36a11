package gateway

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// dashboardPath is where people with a browser are led to.
const dashboardPath = "/ui/"

// dashboardRoutes are pages for people. They change nothing.
var dashboardRoutes = []route{
	{"GET /ui", forAll, dashboard((*Gateway).toDashboard)},
	{"GET /ui/{$}", forViewer, dashboard((*Gateway).dashboardPage)},
	{"GET /ui/static/{file...}", forAll, dashboard((*Gateway).dashboardFile)},
	{"GET /ui/events", forViewer, dashboard(ownPages((*Gateway).dashboardEvents))},
	{"GET /ui/tasks/{id}", forViewer, dashboard(ownPages((*Gateway).dashboardTask))},
	{"POST /ui/login", forAll, (*Gateway).login},
	{"POST /ui/logout", forAll, dashboard((*Gateway).logout)},
}

// web are the dashboard's files: pages, which are templates, and what they load.
//
//go:embed web
var web embed.FS

var pages = template.Must(template.ParseFS(web, "web/*.html"))

// webFile is a file that pages load.
type webFile struct {
	data  []byte
	media string
	tag   string // changes when data does
}

var webFiles = readWeb()

func readWeb() map[string]webFile {
	files := map[string]webFile{}
	err := fs.WalkDir(web, "web", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := web.ReadFile(name)
		// Not by the table of this machine, which may be anything.
		media := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}[path.Ext(name)]
		if media != "" {
			sum := sha256.Sum256(data)
			files[strings.TrimPrefix(name, "web/")] = webFile{data, media + "; charset=utf-8", `"` + hex.EncodeToString(sum[:8]) + `"`}
		}
		return err
	})
	if err != nil {
		panic(err) // they are in the program
	}
	return files
}

// dashboardPolicy lets pages load what this node serves, and run nothing that is in a page itself; nothing
// may frame them.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lexer"

// guard sets what browsers have to keep to with a page, or with what it loads.
func guard(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", dashboardPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// dashboard makes a handler of a part of the dashboard.
func dashboard(do handler) handler {
	return bodiless(func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		guard(w)
		do(g, w, r)
	})
}

// bodiless makes a handler of requests whose body has nothing to say. It is held to the limits all the same.
func bodiless(do handler) handler {
	return func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		done, err := g.limitBody(w, r)
		if err == nil {
			defer done()
			err = skipBody(r)
		}
		if err != nil {
			g.failNative(w, r, err)
			return
		}
		do(g, w, r)
	}
}

// ownPages refuses what a page of another site, or of another port, asks for. It could not read the answer,
// but could keep us busy with it.
func ownPages(do handler) handler {
	return func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		if from := r.Header.Get("Sec-Fetch-Site"); from == "cross-site" || from == "same-site" {
			g.fail(w, http.StatusForbidden, bus.Errorf(bus.CodeForbidden, "requests of other web sites are refused"))
			return
		}
		do(g, w, r)
	}
}

// wantsPage reports whether a request is a browser's for a page: programs ask for */*, or for JSON.
func wantsPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			if media, _, err := mime.ParseMediaType(part); err == nil && media == "text/html" {
				return true
			}
		}
	}
	return false
}

// leadBrowsers sends browsers to the dashboard, and all others to next.
func leadBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if wantsPage(r) {
			guard(w)
			http.Redirect(w, r, dashboardPath, http.StatusFound)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gateway) toDashboard(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, dashboardPath, http.StatusFound)
}

// dashboardPage is the dashboard itself, which asks for the rest.
func (g *Gateway) dashboardPage(w http.ResponseWriter, r *http.Request) {
	_, err := r.Cookie(g.cookie(r))
	g.page(w, http.StatusOK, "dashboard.html", map[string]any{"LoggedIn": err == nil})
}

// page writes a page.
func (g *Gateway) page(w http.ResponseWriter, status int, name string, v any) {
	guard(w)
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, v); err != nil {
		g.fail(w, http.StatusInternalServerError, bus.Errorf(bus.CodeInternal, "make a page: %w", err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := writeAll(w, out.Bytes()); err != nil {
		g.cfg.Logger.Debug("write a page", "err", err) // the client left
	}
}

// dashboardFile is what pages load. A browser keeps it, and asks each time whether it is still the same.
func (g *Gateway) dashboardFile(w http.ResponseWriter, r *http.Request) {
	f, ok := webFiles[r.PathValue("file")]
	if !ok {
		g.fail(w, http.StatusNotFound, bus.Errorf(bus.CodeNotFound, "there is no %s %s", r.Method, r.URL.Path))
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	control := http.NewResponseController(w)
	// What does not support it has no limit: a recorder in a test.
	_ = control.SetWriteDeadline(time.Now().Add(writeLimit))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
	_ = control.SetWriteDeadline(time.Time{}) // as above
}

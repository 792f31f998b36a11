package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// show serves the site at addr until ctx ends. Each page that is asked for is made anew, so that a
// browser which loads it again shows what was written meanwhile; the help of the programs apart.
func show(ctx context.Context, c config, addr string, stdout io.Writer) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: &live{config: c}, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // Serve tells when it is closed
	defer stop()
	fmt.Fprintf(stdout, "http://%s/\n", ln.Addr())
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// live is a site that is made anew for each page.
type live struct {
	config
	mu    sync.Mutex
	files map[string][]byte
}

func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if strings.HasSuffix(r.URL.Path, "/") {
		name = path.Join(name, "index.html")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files == nil || path.Ext(name) == ".html" {
		files, err := render(l.config)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		l.files = files
	}
	content, ok := l.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(content) // to a browser that may be gone
}

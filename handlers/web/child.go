package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Pages are made to be read by browsers, and some of them to trouble whoever reads them: two megabytes of
// HTML can keep the libraries busy for hours. So a program of its own reads each, and is ended when it takes
// too long, or too much memory.
const (
	// childTime is how long it may take.
	childTime = 15 * time.Second
	// childMemory is what it may use, in bytes; from half of it on it works at using less.
	childMemory = 512 << 20
	// memoryEvery is how often it is looked how much that is.
	memoryEvery = 10 * time.Millisecond
)

// job is the first line of what the program is given; the page follows.
type job struct {
	Request     bus.FetchRequest `json:"request"`
	URL         string           `json:"url"`
	Status      int              `json:"status"`
	ContentType string           `json:"content_type"`
	Media       string           `json:"media"`
	Cut         bool             `json:"cut"`
	At          time.Time        `json:"at"`
	Memory      int64            `json:"memory"`
}

// outcome is what it says: one of the two.
type outcome struct {
	Result bus.FetchResult `json:"result"`
	Error  *bus.Error      `json:"error,omitempty"`
}

// errLong ends the program.
var errLong = errors.New("it takes too long")

// read makes text of p, in a program of its own where that is named and needed.
func (h *Handler) read(ctx context.Context, p *page, req bus.FetchRequest) (bus.FetchResult, error) {
	if len(h.cfg.Reader) == 0 || req.Format == bus.FormatRaw || !isHTML(p.media) {
		return p.read(req)
	}
	head, err := json.Marshal(job{req, p.url.String(), p.status, p.contentType, p.media, p.cut, p.at, h.cfg.ReadMemory})
	if err != nil {
		return bus.FetchResult{}, bus.Errorf(bus.CodeInternal, "encode a page: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.cfg.ReadTime, errLong)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.cfg.Reader[0], h.cfg.Reader[1:]...)
	cmd.Env = []string{"GOMAXPROCS=2"} // and nothing of this process
	cmd.Stdin = io.MultiReader(bytes.NewReader(head), bytes.NewReader([]byte("\n")), bytes.NewReader(p.body))
	cmd.WaitDelay = time.Second
	var out outcome
	said, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(said, &out)
	}
	switch {
	case errors.Is(context.Cause(ctx), errLong):
		return out.Result, unread(fmt.Errorf("it takes more than %v", h.cfg.ReadTime))
	case err != nil:
		return out.Result, unread(fmt.Errorf("its reader ended: %w", err))
	case out.Error != nil:
		return out.Result, out.Error
	}
	return out.Result, nil
}

// Main is the program that Config.Reader names: it reads one page from in, writes what it made of it to
// out, and returns. Its process ends then, whatever still works on the page.
func Main(in io.Reader, out io.Writer) error {
	r := bufio.NewReader(in)
	head, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	var j job
	if err := json.Unmarshal(head, &j); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	debug.SetMemoryLimit(j.Memory / 2)
	p, err := j.page(r)
	if err != nil {
		return err
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := p.read(j.Request)
		done <- outcome{res, bus.AsError(err)}
	}()
	look := time.NewTicker(memoryEvery)
	defer look.Stop()
	for {
		select {
		case o := <-done:
			return json.NewEncoder(out).Encode(o)
		case <-look.C:
			if memory() > uint64(max(j.Memory, 0)) {
				e := unread(fmt.Errorf("it takes more than %d MiB of memory", j.Memory>>20))
				return json.NewEncoder(out).Encode(outcome{Error: bus.AsError(e)})
			}
		}
	}
}

// page is the page that j is about.
func (j job) page(body io.Reader) (*page, error) {
	at, err := url.Parse(j.URL)
	if err != nil {
		return nil, fmt.Errorf("read the page's URL: %w", err)
	}
	p := &page{url: at, status: j.Status, contentType: j.ContentType, media: j.Media, cut: j.Cut, at: j.At}
	if p.body, err = io.ReadAll(body); err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	return p, nil
}

// memory is what this process has of its system, in bytes.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/apart"
)

// childMemory is what the reader of a document may use, in bytes, PDFium's machine code apart.
const childMemory = 512 << 20

// job is what the reader of a document is told, beside the content.
type job struct {
	Request bus.FileRequest `json:"request"`
	Cache   string          `json:"cache"`
	Limit   time.Duration   `json:"limit"`
	Memory  int64           `json:"memory"`
}

// readApart makes text of the document in a program of its own. That keeps to the limit by itself, which counts
// from when PDFium is there; here is the limit for all, should it not.
func (h *Handler) readApart(ctx context.Context, req bus.FileRequest) (res bus.FileResult, err error) {
	most := prepareTime + h.cfg.Limit + grace
	bus.SetPhase(ctx, "read", most+grace)
	content := req.Content
	req.Content = nil
	reader := apart.Program{Argv: h.cfg.Reader, Time: most, Memory: h.cfg.ReadMemory}
	if h.cfg.Cache != "" {
		if err := os.MkdirAll(h.cfg.Cache, 0o700); err != nil {
			return res, bus.Retry(bus.Errorf(bus.CodeUnavailable, "keep what PDFium is compiled to: %w", err))
		}
		reader.Write = []string{h.cfg.Cache}
	}
	err = reader.Do(ctx, job{req, h.cfg.Cache, h.cfg.Limit, h.cfg.Memory}, content, &res)
	if limit, ok := errors.AsType[*apart.LimitError](err); ok {
		return res, bus.Errorf(bus.CodeFailed, "%s cannot be read: %w", named(req.Name), limit)
	}
	return res, err
}

// Main is the program that Config.Reader names: it reads one document from in, writes what it made of it to out,
// and returns. Its process is to end then, whatever still works on the document.
func Main(in io.Reader, out io.Writer) error {
	return apart.Main(in, out, func(raw json.RawMessage, content []byte) (any, error) {
		var j job
		if err := json.Unmarshal(raw, &j); err != nil {
			return nil, fmt.Errorf("read what to do: %w", err)
		}
		j.Request.Content = content
		h := New(Config{Cache: j.Cache, Limit: j.Limit, Memory: j.Memory})
		h.alone = true
		return h.read(context.Background(), j.Request) // what it leaves ends with the process
	})
}

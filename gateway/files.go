package gateway

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/batch"
)

// fileRoutes keep files of requests for batches: https://platform.openai.com/docs/api-reference/files
var fileRoutes = []route{
	{sendFileRoute, forLocal, ofOpenAI((*Gateway).sendFile)},
	{"GET /v1/files", forLocal, ofOpenAI(openAIDialect.handle((*Gateway).listFiles))},
	{"GET /v1/files/{id}", forLocal, ofOpenAI(openAIDialect.handle((*Gateway).readFile))},
	{"DELETE /v1/files/{id}", forLocal, ofOpenAI(openAIDialect.handle((*Gateway).deleteFile))},
	{"GET /v1/files/{id}/content", forLocal, ofOpenAI(openAIDialect.handle((*Gateway).readContent))},
}

const (
	// sendFileRoute is the only one that takes fileBody bytes: a file with the form around it.
	sendFileRoute = "POST /v1/files"
	fileBody      = batch.FileMost + 64*formField

	forBatches = "batch" // the purpose of a file of requests
	// formField bounds a field of a form that is no file, in bytes.
	formField = 1 << 10
	// nameMost bounds the name of a file, in bytes, as file systems do.
	nameMost = 255
	// termAnchor and termSeconds are the fields of a form that say when a file expires.
	termAnchor, termSeconds = "expires_after[anchor]", "expires_after[seconds]"
	// The terms that a client may set for a file.
	shortestTerm, longestTerm = time.Hour, batch.Term
)

// fileObject is a file, as clients have it.
type fileObject struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Bytes     int64  `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt int64  `json:"expires_at"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
	Status    string `json:"status"`
}

func (f fileObject) id() string { return f.ID }

func objectOf(f batch.File) fileObject {
	return fileObject{f.ID, "file", f.Bytes, f.Created.Unix(), f.Expires.Unix(), f.Name, f.Purpose, "processed"}
}

// sendFile keeps the file of a form. It goes to the disk as it comes, and takes no room of other requests.
func (g *Gateway) sendFile(w http.ResponseWriter, r *http.Request) {
	openAIDialect.nameRequest(w)
	if r.ContentLength > fileBody {
		openAIDialect.explainTo(g, w, r, wrong{err: batch.ErrTooLarge}) // and what comes is not waited for
		return
	}
	in := &body{
		in: http.MaxBytesReader(unwrapped(w), r.Body, fileBody), control: http.NewResponseController(w),
		room: newRoom(2 * batch.FileMost),
	}
	f, err := g.takeFile(r, in)
	if err != nil {
		readOn(r, in, in.read)
		openAIDialect.explainTo(g, w, r, err)
		return
	}
	g.write(w, http.StatusOK, objectOf(f))
}

// takeFile keeps the file of a form.
func (g *Gateway) takeFile(r *http.Request, in *body) (f batch.File, err error) {
	if g.batches == nil {
		return f, noBatches()
	}
	if len(presented(r)) == 0 { // a form may come from the page of a web site, but not with a key
		return f, wrong{err: bus.Errorf(bus.CodeInvalid, "a file is sent with a key").
			WithHint("send the header Authorization: Bearer KEY; any will do on the node's own machine, unless it runs with --http-key")}
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return f, wrong{err: bus.Errorf(bus.CodeInvalid, "the content type is %q, want multipart/form-data", r.Header.Get("Content-Type"))}
	}
	f, err = g.batches.Create(userOf(r), func(out io.Writer) (batch.File, error) {
		return readForm(multipart.NewReader(in, params["boundary"]), out)
	})
	if err == nil {
		err = in.whole()
	}
	return f, err
}

// readForm reads the form of a file, whose fields come in any order, and writes the file to out.
func readForm(form *multipart.Reader, out io.Writer) (f batch.File, err error) {
	fields, sent := map[string]string{"purpose": "", termAnchor: "", termSeconds: ""}, false
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f, notForm(err)
		}
		switch name := part.FormName(); {
		case name == "file" && sent:
			return f, wrong{err: bus.Errorf(bus.CodeInvalid, "there is more than one file"), field: name}
		case name == "file":
			if f.Name, sent = part.FileName(), true; len(f.Name) > nameMost {
				return f, wrong{err: bus.Errorf(bus.CodeInvalid, "the name of the file has over %d bytes", nameMost), field: name}
			}
			if _, err := io.Copy(out, part); err != nil {
				return f, notForm(err)
			}
		default:
			if _, known := fields[name]; !known {
				continue // and what it says is passed over
			}
			value, err := io.ReadAll(io.LimitReader(part, formField+1))
			if err != nil {
				return f, notForm(err)
			}
			if len(value) > formField {
				return f, wrong{err: bus.Errorf(bus.CodeInvalid, "%s has over %d bytes", name, formField), field: name}
			}
			fields[name] = string(value)
		}
	}
	if !sent {
		return f, wrong{err: bus.Errorf(bus.CodeInvalid, "file is required"), field: "file"}
	}
	if f.Purpose = fields["purpose"]; f.Purpose != forBatches {
		return f, wrong{err: bus.Errorf(bus.CodeInvalid, "purpose is %q: this node keeps files for batches, want %q", f.Purpose, forBatches), field: "purpose"}
	}
	if term := fields[termSeconds]; term != "" {
		seconds, err := strconv.Atoi(term)
		keep, why := termOf(fields[termAnchor], seconds)
		if err != nil || why != nil {
			return f, wrong{err: errTerm, field: "expires_after"}
		}
		f.Created = time.Now()
		f.Expires = f.Created.Add(keep)
	}
	return f, nil
}

var errTerm = bus.Errorf(bus.CodeInvalid, "expires_after: want the anchor created_at, and from %d to %d seconds", int(shortestTerm.Seconds()), int(longestTerm.Seconds()))

// termOf is how long a file is kept that is to expire so many seconds after an anchor.
func termOf(anchor string, seconds int) (time.Duration, *bus.Error) {
	if anchor != "created_at" || seconds < int(shortestTerm.Seconds()) || seconds > int(longestTerm.Seconds()) {
		return 0, errTerm
	}
	return time.Duration(seconds) * time.Second, nil
}

// notForm tells why a form could not be read: what its bytes are wrong in, unless they did not come.
func notForm(err error) error {
	if e, is := errors.AsType[*bus.Error](err); is {
		return wrong{err: e}
	}
	return wrong{err: bus.Errorf(bus.CodeInvalid, "read the form: %w", err)}
}

func noBatches() error {
	return wrong{err: bus.Errorf(bus.CodeNotFound, "this node keeps no files and batches")}
}

// tellsList refuses lists to programs without a key: they would name what another user of this machine has sent, whose ids are
// known to nobody else.
func (g *Gateway) tellsList(r *http.Request) error {
	switch {
	case g.batches == nil:
		return noBatches()
	case holderOf(r) == nil:
		return wrong{err: bus.Errorf(bus.CodeForbidden, "files and batches are listed for who has a key alone, as they name what there is").
			WithHint("send the header Authorization: Bearer KEY, with a key of `myco key create` on this node, or the content of %s in its data directory", bus.HTTPKeyFile)}
	}
	return nil
}

func (g *Gateway) listFiles(w http.ResponseWriter, r *http.Request) error {
	if err := g.tellsList(r); err != nil {
		return err
	}
	files := g.batches.Files(userOf(r))
	if purpose := r.URL.Query().Get("purpose"); purpose != "" {
		files = slices.DeleteFunc(files, func(f batch.File) bool { return f.Purpose != purpose })
	}
	return list(g, w, r, files, objectOf, 10_000, 10_000)
}

func (g *Gateway) readFile(w http.ResponseWriter, r *http.Request) error {
	if g.batches == nil {
		return noBatches()
	}
	f, err := g.batches.File(userOf(r), r.PathValue("id"))
	if err != nil {
		return wrong{err: bus.AsError(err)}
	}
	g.write(w, http.StatusOK, objectOf(f))
	return nil
}

func (g *Gateway) deleteFile(w http.ResponseWriter, r *http.Request) error {
	if g.batches == nil {
		return noBatches()
	}
	id := r.PathValue("id")
	if err := g.batches.Remove(userOf(r), id); err != nil {
		return wrong{err: bus.AsError(err)}
	}
	g.write(w, http.StatusOK, map[string]any{"id": id, "object": "file", "deleted": true})
	return nil
}

// readContent answers with a file, whose client may take its time as long as it takes some.
func (g *Gateway) readContent(w http.ResponseWriter, r *http.Request) error {
	if g.batches == nil {
		return noBatches()
	}
	in, f, err := g.batches.Content(userOf(r), r.PathValue("id"))
	if err != nil {
		return wrong{err: bus.AsError(err)}
	}
	defer in.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	h.Set("Content-Length", strconv.FormatInt(f.Bytes, 10))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	piece := make([]byte, 64<<10)
	for {
		n, err := in.Read(piece)
		if n > 0 {
			if err := writeAll(w, piece[:n]); err != nil {
				return nil // the client left
			}
		}
		if err != nil {
			return nil // its end, or a length that the client misses
		}
	}
}

// list answers with a page of what there is, newest first, as object spells it: of so many as are usual, or as the client says up to
// most, behind one.
func list[T any, O interface{ id() string }](g *Gateway, w http.ResponseWriter, r *http.Request, all []T, object func(T) O, usual, most int) error {
	query, limit := r.URL.Query(), usual
	if v := query.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > most {
			return misfit("limit", "want 1 to %d", most)
		}
		limit = n
	}
	switch query.Get("order") {
	case "", "desc":
	case "asc":
		slices.Reverse(all)
	default:
		return misfit("order", "want asc or desc")
	}
	if after := query.Get("after"); after != "" {
		at := slices.IndexFunc(all, func(x T) bool { return object(x).id() == after })
		if at < 0 {
			return misfit("after", "there is no %s here", after)
		}
		all = all[at+1:]
	}
	page := struct {
		Object  string  `json:"object"`
		Data    []O     `json:"data"`
		FirstID *string `json:"first_id"`
		LastID  *string `json:"last_id"`
		HasMore bool    `json:"has_more"`
	}{Object: "list", Data: []O{}, HasMore: len(all) > limit}
	for _, x := range all[:min(limit, len(all))] {
		page.Data = append(page.Data, object(x))
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = new(page.Data[0].id()), new(page.Data[n-1].id())
	}
	g.write(w, http.StatusOK, page)
	return nil
}

package batch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// linesMost bounds the requests of a batch, and lineMost one of them, in bytes.
	linesMost = 50_000
	lineMost  = 16 << 20
	// faultsMost bounds what is told of a file that is none of requests.
	faultsMost = 20
)

// line is where a request lies in its file. Empty lines are none.
type line struct {
	number int // from 1
	at     int64
	size   int
}

// lines finds the lines of a file. Of one that is too long, size is over lineMost, and the file is not read on.
func lines(in io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		r := bufio.NewReaderSize(in, 64<<10)
		l := line{number: 1}
		for {
			piece, err := r.ReadSlice('\n')
			l.size += len(piece)
			switch {
			case errors.Is(err, bufio.ErrBufferFull) && l.size <= lineMost:
				continue
			case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
				yield(l, err)
				return
			case l.size > 0 && (l.size > len(piece) || len(bytes.TrimSpace(piece)) > 0):
				if !yield(l, nil) || l.size > lineMost {
					return
				}
			}
			if err != nil {
				return
			}
			l = line{number: l.number + 1, at: l.at + int64(l.size)}
		}
	}
}

// request is what a line says.
type request struct {
	CustomID string          `json:"custom_id"`
	Method   string          `json:"method"`
	URL      string          `json:"url"`
	Body     json.RawMessage `json:"body"`
}

// read reads the request of a line.
func (l line) read(in io.ReaderAt) (req request, err error) {
	data := make([]byte, l.size)
	if n, err := in.ReadAt(data, l.at); n < l.size {
		return req, err
	}
	return req, json.Unmarshal(data, &req)
}

// check tells what is wrong with a request; a Fault without a Code is none.
func (s *Store) check(endpoint string, req request, names map[string]int, models map[string]bool) Fault {
	var body struct {
		Model  *string
		Stream bool
	}
	err := json.Unmarshal(req.Body, &body)
	before, twice := names[req.CustomID]
	switch {
	case req.CustomID == "":
		return Fault{Code: "missing_required_parameter", Message: "custom_id is missing"}
	case twice:
		return Fault{Code: "duplicate_custom_id", Message: fmt.Sprintf("custom_id %q is that of line %d too", req.CustomID, before)}
	case req.Method != "POST":
		return Fault{Code: "invalid_method", Message: fmt.Sprintf("method is %q, want POST", req.Method)}
	case req.URL != endpoint:
		return Fault{Code: "mismatched_endpoint", Message: fmt.Sprintf("url is %q, and the endpoint of the batch %s", req.URL, endpoint)}
	case err != nil || !bytes.HasPrefix(bytes.TrimSpace(req.Body), []byte("{")):
		return Fault{Code: "invalid_json_line", Message: "body is not the JSON object of a request"}
	case body.Stream:
		return Fault{Code: "invalid_request", Message: "stream is true: the answers of a batch do not come in pieces"}
	case body.Model == nil || *body.Model == "":
		return Fault{Code: "missing_required_parameter", Message: "model is missing"}
	}
	known, looked := models[*body.Model]
	if !looked {
		known = s.cfg.Knows(endpoint, *body.Model)
		models[*body.Model] = known
	}
	if !known {
		return Fault{Code: "model_not_found", Message: fmt.Sprintf("no node of the swarm has the model %q now", *body.Model)}
	}
	return Fault{}
}

// validate counts the requests of a file for an endpoint, and tells what is wrong with them. An error is one of the disk.
func (s *Store) validate(endpoint string, in *os.File) (total int, faults []Fault, err error) {
	names, models := map[string]int{}, map[string]bool{}
	for l, err := range lines(in) {
		if err != nil {
			return 0, nil, err
		}
		var fault Fault
		switch total++; {
		case l.size > lineMost:
			fault = Fault{Code: "line_too_long", Message: fmt.Sprintf("the line has over %d MiB", lineMost>>20)}
		case total > linesMost:
			fault = Fault{Code: "too_many_requests", Message: fmt.Sprintf("the file has over %d requests", linesMost)}
		default:
			req, err := l.read(in)
			if err != nil {
				fault = Fault{Code: "invalid_json_line", Message: "the line is not valid JSON"}
			} else if fault = s.check(endpoint, req, names, models); fault.Code == "" {
				names[req.CustomID] = l.number
			}
		}
		if fault.Code != "" {
			fault.Line = l.number
			faults = append(faults, fault)
		}
		if len(faults) == faultsMost || total > linesMost {
			return total, faults, nil
		}
	}
	if total == 0 {
		faults = append(faults, Fault{Code: "empty_file", Message: "the file has no requests"})
	}
	return total, faults, nil
}

// outcome is a line of the files that a batch makes.
type outcome struct {
	ID       string    `json:"id"`
	CustomID string    `json:"custom_id"`
	Response *response `json:"response"`
	Error    *failure  `json:"error"`
}

type response struct {
	StatusCode int             `json:"status_code"`
	RequestID  string          `json:"request_id"`
	Body       json.RawMessage `json:"body"`
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// outcomeID names what came of a line, which number finds in it.
func outcomeID(batch string, number int) string {
	return "batch_req_" + strings.TrimPrefix(batch, batchPrefix) + "_" + strconv.Itoa(number)
}

// number is the line of a request of a batch that an outcome's id tells; 0 where it tells none.
func number(batch, id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, outcomeID(batch, 0)[:len(outcomeID(batch, 0))-1]))
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// partial opens what a batch has come to so far, to be added to, and tells of which lines. What was cut off is left out, and all
// behind it.
func partial(path, batch string, done map[int]bool) (out *os.File, n int, err error) {
	out, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	good := int64(0)
	for r := bufio.NewReader(out); ; n++ {
		data, err := r.ReadBytes('\n')
		var o outcome
		if err != nil || json.Unmarshal(data, &o) != nil || number(batch, o.ID) == 0 {
			break
		}
		done[number(batch, o.ID)] = true
		good += int64(len(data))
	}
	if err = out.Truncate(good); err == nil {
		_, err = out.Seek(good, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, out.Close())
	}
	return out, n, nil
}

var (
	errCancelled = bus.Errorf(bus.CodeCancelled, "the batch was cancelled")
	errExpired   = bus.Errorf(bus.CodeExpired, "the batch has taken %v", Window)
)

package batch

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
)

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

// lateCode is the failure of a request without an answer in time.
const lateCode = "batch_expired"

// outcomePrefix is how the ids of a batch's outcomes begin, before the number of the line.
func outcomePrefix(batch string) string {
	return "batch_req_" + strings.TrimPrefix(batch, batchPrefix) + "_"
}

// number is the line of a request of a batch that an outcome's id tells; 0 where it tells none.
func number(batch, id string) int {
	digits, is := strings.CutPrefix(id, outcomePrefix(batch))
	n, err := strconv.Atoi(digits)
	if !is || err != nil {
		return 0
	}
	return max(n, 0)
}

// sofar is what a part of a batch has come to: how many outcomes, the bytes of these, and whether one came too late.
type sofar struct {
	n    int
	size int64
	late bool
}

// partial opens what a batch has come to so far, to be added to, and tells of which lines. What was cut off is left out, and all
// behind it.
func partial(path, batch string, done map[int]bool) (out *os.File, come sofar, err error) {
	out, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, sofar{}, err
	}
	come, err = whole(out, batch, done)
	if err == nil {
		err = out.Truncate(come.size)
	}
	if err == nil {
		_, err = out.Seek(come.size, io.SeekStart)
	}
	if err != nil {
		return nil, sofar{}, errors.Join(err, out.Close())
	}
	return out, come, nil
}

// whole reads outcomes until one is not whole, and adds their lines to done.
func whole(in io.Reader, batch string, done map[int]bool) (come sofar, err error) {
	for r := bufio.NewReader(in); ; come.n++ {
		var data []byte
		if data, err = r.ReadBytes('\n'); err != nil {
			break
		}
		var o outcome
		if json.Unmarshal(data, &o) != nil || number(batch, o.ID) == 0 {
			break
		}
		done[number(batch, o.ID)] = true
		come.size += int64(len(data))
		come.late = come.late || o.Error != nil && o.Error.Code == lateCode
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return come, err
}

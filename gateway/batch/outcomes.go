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

// partial opens what a batch has come to so far, to be added to, and tells of which lines. What was cut off is left out, and all
// behind it.
func partial(path, batch string, done map[int]bool) (out *os.File, n int, err error) {
	out, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	n, good, err := whole(out, batch, done)
	if err == nil {
		err = out.Truncate(good)
	}
	if err == nil {
		_, err = out.Seek(good, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, out.Close())
	}
	return out, n, nil
}

// whole reads outcomes until one is not whole. It tells how many they are, how many bytes they take, and adds their lines to done.
func whole(in io.Reader, batch string, done map[int]bool) (n int, size int64, err error) {
	for r := bufio.NewReader(in); ; n++ {
		var data []byte
		if data, err = r.ReadBytes('\n'); err != nil {
			break
		}
		var o outcome
		if json.Unmarshal(data, &o) != nil || number(batch, o.ID) == 0 {
			break
		}
		done[number(batch, o.ID)] = true
		size += int64(len(data))
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, size, err
}

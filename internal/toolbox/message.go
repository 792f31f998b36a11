package toolbox

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mycoswarm/mycoswarm/bus"
)

// idMost is below which a float64 has every whole number: the SDK reads ids as such.
const idMost = 1 << 53

// unsupported is how the SDK's text begins about a method that there is not.
const unsupported = "JSON RPC not handled"

// CheckID reports an error where an answer cannot repeat the id of a message: its program would wait for that for ever.
func CheckID(message []byte) error {
	id := idOf(message)
	if id[0] == 'n' || id[0] == '"' {
		return nil
	}
	if n, err := strconv.ParseFloat(string(id), 64); err != nil || n != math.Trunc(n) || math.Abs(n) >= idMost {
		return bus.Errorf(bus.CodeInvalid, "the id is %.40s: want a text, or a whole number below 2^53", id)
	}
	return nil
}

// idOf is the id of a message as its program has written it: a text or a number, and null where it has none of these.
func idOf(message []byte) json.RawMessage {
	var m struct {
		ID json.RawMessage `json:"id"`
	}
	_ = json.Unmarshal(message, &m) // of a list there is none, and of what is no JSON
	if len(m.ID) == 0 || strings.IndexByte(`{[tf`, m.ID[0]) >= 0 {
		return json.RawMessage("null")
	}
	return m.ID
}

// Refusal is the answer of JSON-RPC to a message that is refused before any tool sees it, and why says why.
func Refusal(message []byte, why string) []byte {
	type failure struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	code := jsonrpc.CodeInvalidRequest
	switch {
	case !json.Valid(message):
		code = jsonrpc.CodeParseError
	case strings.HasPrefix(why, unsupported):
		code = jsonrpc.CodeMethodNotFound
	}
	data, err := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   failure         `json:"error"`
	}{"2.0", idOf(message), failure{int(code), why}})
	if err != nil { // what is marshalled here always can be
		panic(err)
	}
	return data
}

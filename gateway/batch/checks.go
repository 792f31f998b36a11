package batch

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
)

const (
	// faultsMost bounds what is told of a file that is none of requests.
	faultsMost = 20
	// customMost bounds a custom_id, and the name of a model, in bytes.
	customMost = 512
)

// checks finds what is wrong with the requests of a file.
type checks struct {
	endpoint string
	knows    func(endpoint, model string) bool
	names    map[string]int  // the line of a custom_id
	models   map[string]bool // whether a model is known
}

// line tells what is wrong with a line; a Fault without a Code is none.
func (c *checks) line(l line, data []byte) Fault {
	var req request
	switch err := json.Unmarshal(data, &req); {
	case err != nil && json.Valid(data):
		return Fault{Code: "invalid_json_line", Message: "the line is not the JSON object of a request, with strings as custom_id, method and url"}
	case err != nil:
		return Fault{Code: "invalid_json_line", Message: "the line is not valid JSON"}
	}
	fault := c.request(req)
	if fault.Code == "" {
		c.names[req.CustomID] = l.number
	}
	return fault
}

func (c *checks) request(req request) Fault {
	var body map[string]json.RawMessage // whose names are as they are spelled, unlike those of a struct
	err := json.Unmarshal(req.Body, &body)
	before, twice := c.names[req.CustomID]
	stream := string(body["stream"])
	switch {
	case req.CustomID == "":
		return Fault{Code: "missing_required_parameter", Message: "custom_id is missing"}
	case len(req.CustomID) > customMost:
		return Fault{Code: "invalid_request", Message: fmt.Sprintf("custom_id has over %d bytes", customMost)}
	case twice:
		return Fault{Code: "duplicate_custom_id", Message: fmt.Sprintf("custom_id %.100q is that of line %d too", req.CustomID, before)}
	case req.Method != "POST":
		return Fault{Code: "invalid_method", Message: fmt.Sprintf("method is %.100q, want POST", req.Method)}
	case req.URL != c.endpoint:
		return Fault{Code: "mismatched_endpoint", Message: fmt.Sprintf("url is %.100q, and the endpoint of the batch %s", req.URL, c.endpoint)}
	case err != nil || body == nil:
		return Fault{Code: "invalid_json_line", Message: "body is not the JSON object of a request"}
	case stream != "" && stream != "false" && stream != "null":
		return Fault{Code: "invalid_request", Message: "stream is not false: the answers of a batch do not come in pieces"}
	}
	return c.model(body["model"])
}

// model tells what is wrong with the model of a request.
func (c *checks) model(raw json.RawMessage) Fault {
	var name string
	if json.Unmarshal(raw, &name) != nil || name == "" || len(name) > customMost {
		return Fault{Code: "missing_required_parameter", Message: "model is missing, or is no name"}
	}
	known, looked := c.models[name]
	if !looked {
		known = c.knows(c.endpoint, name)
		c.models[name] = known
	}
	if !known {
		return Fault{Code: "model_not_found", Message: fmt.Sprintf("no node of the swarm has the model %.100q now", name)}
	}
	return Fault{}
}

// validate counts the requests of a file for an endpoint, and tells what is wrong with them. An error is one of the disk, or of ctx.
func validate(ctx context.Context, endpoint string, in *os.File, knows func(endpoint, model string) bool) (total int, faults []Fault, err error) {
	c := &checks{endpoint: endpoint, knows: knows, names: map[string]int{}, models: map[string]bool{}}
	for l, err := range lines(in) {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return 0, nil, err
		}
		var fault Fault
		switch total++; {
		case l.size > lineMost:
			fault = Fault{Code: "line_too_long", Message: fmt.Sprintf("the line has over %d MiB", lineMost>>20)}
		case total > linesMost:
			fault = Fault{Code: "too_many_requests", Message: fmt.Sprintf("the file has over %d requests", linesMost)}
		default:
			data, err := l.bytes(in)
			if err != nil {
				return 0, nil, err
			}
			fault = c.line(l, data)
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

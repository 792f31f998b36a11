//go:build next

package sched

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A program of the next version says more than others know: see bus.

type (
	plainJob    Job
	plainFinal  Final
	plainRecord Record
)

func (j Job) MarshalJSONTo(e *jsontext.Encoder) error {
	return bus.MarshalLater(e, (*plainJob)(&j), &j.Later)
}

func (f Final) MarshalJSONTo(e *jsontext.Encoder) error {
	return bus.MarshalLater(e, (*plainFinal)(&f), &f.Later)
}

func (r Record) MarshalJSONTo(e *jsontext.Encoder) error {
	return bus.MarshalLater(e, (*plainRecord)(&r), &r.Later)
}

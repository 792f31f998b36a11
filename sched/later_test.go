package sched_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// Whatever is sent on keeps what a later version has said in it, at every level.
func TestLaterFieldsStay(t *testing.T) {
	t.Parallel()
	const later = `"later":{"n":1}`
	final := `{"task":"t1","state":"done","attempt":1,"at":"2026-01-02T03:04:05Z",` + later + `}`
	for name, c := range map[string]struct {
		in   string
		into any
		want int
	}{
		"job":    {`{"task":{"id":"t1","type":"ping",` + later + `},"submitter":"myco-0123456789ab","accepted":"2026-01-02T03:04:05Z",` + later + `}`, &sched.Job{}, 2},
		"final":  {final, &sched.Final{}, 1},
		"record": {`{"state":"done","worker":"myco-0123456789ab","attempt":1,"nonce":"n","final":` + final + `,` + later + `}`, &sched.Record{}, 2},
		"beat":   {`{"node":"myco-0123456789ab","info":{"id":"myco-0123456789ab",` + later + `},` + later + `}`, &bus.Heartbeat{}, 2},
	} {
		if err := bus.Unmarshal([]byte(c.in), c.into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := bus.Marshal(c.into)
		if err != nil || strings.Count(string(out), later) != c.want {
			t.Errorf("%s: %s, %v: want %s %d times", name, out, err, later, c.want)
		}
	}
}

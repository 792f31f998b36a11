package store

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

const self = bus.NodeID("myco-0123456789ab")

func TestCheckWatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in, out string // out "": refused
	}{
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX_OBSERVER.myco-0123456789ab.a.b"}}`, `{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX_OBSERVER.myco-0123456789ab.a.b"}}`},
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX_USER.myco-0123456789ab.a"},"action":"create"}`, `{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX_USER.myco-0123456789ab.a"},"action":"create"}`},
		{`{"stream_name":"KV_peers","config":{"name":"pull"}}`, `{"stream_name":"KV_peers","config":{"name":"pull"}}`},
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"payload.work.a"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX_USER"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX_USER.myco-ba9876543210.a"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX_OBSERVER_.a"}}`, ""},
		{`{"stream_name":"OTHER","config":{"deliver_subject":"_INBOX_USER.myco-0123456789ab.a"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"Deliver_Subject":"payload.work.a"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"deliver_\u017fubject":"payload.work.a"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX.a"},"Config":{"Deliver_subject":"payload.work.a"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX.a"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"durable_name":"mine"}}`, ""},
		{`{"stream_name":"KV_peers","config":{"durable_name":"","inactive_threshold":300000000000}}`, `{"stream_name":"KV_peers","config":{"durable_name":"","inactive_threshold":300000000000}}`},
		{`{"stream_name":"KV_peers","config":{"Inactive_threshold":300000000001}}`, ""},
		{`{"stream_name":"KV_peers","config":{"description":"` + strings.Repeat("x", maxWatchRequest) + `"}}`, ""},
		// What is dropped here must not reach the server, which reads it otherwise.
		{`{"stream_name":"KV_peers","config":{"deliver_subject":"payload.a"},"config":null}`, `{"stream_name":"KV_peers","config":null}`},
		{`{"stream_name":"KV_peers","config":{"deliver_subject":3}}`, ""},
		{`not JSON`, ""},
		{``, ""},
	} {
		out, err := checkWatch(self, []byte(tc.in))
		if err != nil {
			out = nil
		}
		if diff := cmp.Diff(tc.out, string(out)); diff != "" {
			t.Errorf("%s: %v\n%s", tc.in, err, diff)
		}
	}
}

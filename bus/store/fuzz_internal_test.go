package store

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// What is passed on to JetStream, as JetStream reads it, is a consumer of the bucket of peers that
// delivers to an inbox and goes with its client.
func FuzzCheckWatch(f *testing.F) {
	for _, s := range []string{
		`{"stream_name":"KV_peers","config":{"deliver_subject":"_INBOX_USER.myco-0123456789ab.a","name":"n"},"action":"create"}`,
		`{"stream_name":"KV_peers","config":{"Deliver_Subject":"payload.x","durable_name":""}}`,
		`{"stream_name":"KV_peers","Config":{"deliver_subject":"x"},"config":{"inactive_threshold":1}}`,
		`{"stream_name":"KV_peers","config":{"inactive_threshold":-1}}`, `{"stream_name":"KV_peers"}`, `{}`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := checkWatch(self, data)
		if err != nil {
			return
		}
		var req server.CreateConsumerRequest
		if json.Unmarshal(out, &req) != nil {
			return // JetStream refuses it
		}
		c := req.Config
		if req.Stream != peersStream || c.Durable != "" || c.InactiveThreshold > maxWatchIdle || c.DeliverSubject != "" && !isInbox(self, c.DeliverSubject) {
			t.Errorf("%q becomes %s", data, out)
		}
	})
}

package store

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

// peersStream is the stream under the bucket of peers.
const peersStream = "KV_" + bus.BucketPeers

// inboxes are the prefixes of subjects that a consumer may deliver to, and answers go to.
var inboxes = []string{nats.InboxPrefix, bus.UserInbox + ".", bus.ObserverInbox + "."}

// serveWatches answers requests for a consumer of the bucket of peers, which the fabric sends
// here. To watch a bucket is to have such a consumer, so whoever may watch may make one. But a
// consumer delivers to any subject, with the store's rights: one that delivers to
// "payload.outbox..." would write there. So consumers that deliver to inboxes are made, others
// refused. The subscription ends with the store's connection.
func (s *Store) serveWatches() error {
	prefix := bus.SubjectWatchPeers(s.cfg.ID, "")
	nc := s.nc
	_, err := nc.Subscribe(prefix+">", func(m *nats.Msg) {
		reply := m.Reply
		if !isInbox(reply) {
			return
		}
		request, err := checkWatch(m.Data)
		if err != nil {
			s.answer(nc, reply, refusal(err))
			return
		}
		// The server answers to the client's inbox itself.
		fwd := &nats.Msg{
			Subject: "$JS.API.CONSUMER.CREATE." + peersStream + "." + strings.TrimPrefix(m.Subject, prefix),
			Reply:   reply, Data: request,
		}
		if err := nc.PublishMsg(fwd); err != nil {
			s.log.Warn("watch the peers", "error", err)
		}
	})
	if err != nil {
		return fmt.Errorf("listen for watches of the peers: %w", err)
	}
	if err := nc.Flush(); err != nil {
		return fmt.Errorf("listen for watches of the peers: %w", err)
	}
	return nil
}

func (s *Store) answer(nc *nats.Conn, subject string, data []byte) {
	if err := nc.Publish(subject, data); err != nil {
		s.log.Warn("answer a watch of the peers", "error", err)
	}
}

// checkWatch looks at a request as JetStream defines it
// (io.nats.jetstream.api.v1.consumer_create_request). It returns what was understood, written
// anew, so that nothing is passed on that was not looked at.
func checkWatch(data []byte) ([]byte, error) {
	var req struct {
		Stream string                     `json:"stream_name"`
		Config map[string]json.RawMessage `json:"config"`
		Action string                     `json:"action,omitempty"`
	}
	if err := json.Unmarshal(data, &req); err != nil {
		return nil, fmt.Errorf("the request is not JSON: %w", err)
	}
	if req.Stream != peersStream {
		return nil, fmt.Errorf("stream %q is not %s", req.Stream, peersStream)
	}
	for name, raw := range req.Config {
		if !strings.EqualFold(name, "deliver_subject") { // the server too reads any spelling
			continue
		}
		var subject string
		if err := json.Unmarshal(raw, &subject); err != nil {
			return nil, fmt.Errorf("deliver subject: %w", err)
		}
		if subject != "" && !isInbox(subject) {
			return nil, fmt.Errorf("deliver subject %q is not an inbox", subject)
		}
	}
	return json.Marshal(req)
}

func isInbox(subject string) bool {
	for _, p := range inboxes {
		if len(subject) > len(p) && strings.HasPrefix(subject, p) {
			return true
		}
	}
	return false
}

// refusal is an answer in JetStream's form.
func refusal(err error) []byte {
	type apiError struct {
		Code        int    `json:"code"`
		Description string `json:"description"`
	}
	b, jsonErr := json.Marshal(struct {
		Type  string   `json:"type"`
		Error apiError `json:"error"`
	}{"io.nats.jetstream.api.v1.consumer_create_response", apiError{403, err.Error()}})
	if jsonErr != nil { // strings and a number: cannot be
		return nil
	}
	return b
}

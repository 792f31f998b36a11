package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// peersStream is the stream under the bucket of peers.
const peersStream = "KV_" + bus.BucketPeers

// watchCall begins the calls that make a consumer of it.
const watchCall = "CONSUMER.CREATE." + peersStream

// What a client's consumer may take of the store, which others need too.
const (
	// maxWatchers is how many consumers the bucket of peers may have at once.
	maxWatchers = 256
	// maxWatchRequest is the size in bytes of a request for one.
	maxWatchRequest = 4 << 10
	// maxWatchIdle is how long one stays that nobody listens to.
	maxWatchIdle = 5 * time.Minute
	countLimit   = 5 * time.Second
)

// serveCalls takes what clients of the fabric ask of JetStream's API; the fabric's mapping sends
// it here, and its grants decide who may ask what. A store answers, and delivers, with its own
// rights and to any subject it is told: an answer to "payload.outbox..." would be stored there.
// So calls are passed on whose reply subject is an inbox, and of those that make a consumer for
// the bucket of peers (which is how to watch it) the ones that deliver to an inbox.
// The subscription ends with the store's connection.
func (s *Store) serveCalls() error {
	prefix := bus.SubjectStoreCall(s.cfg.ID, "")
	nc, js := s.nc, s.js
	_, err := nc.Subscribe(prefix+">", func(m *nats.Msg) {
		if !isInbox(s.cfg.ID, m.Reply) {
			return
		}
		call, data := strings.TrimPrefix(m.Subject, prefix), m.Data
		if strings.HasPrefix(call, watchCall) {
			var err error
			if data, err = checkWatch(s.cfg.ID, data); err == nil {
				err = checkRoom(js)
			}
			if err != nil {
				s.send(nc, &nats.Msg{Subject: m.Reply, Data: refusal(err)})
				return
			}
		}
		// The server answers to the client's inbox itself.
		s.send(nc, &nats.Msg{Subject: "$JS.API." + call, Reply: m.Reply, Data: data})
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		return fmt.Errorf("listen for calls of JetStream: %w", err)
	}
	return nil
}

func (s *Store) send(nc *nats.Conn, m *nats.Msg) {
	if err := nc.PublishMsg(m); err != nil {
		s.log.Warn("pass on a call of JetStream", "subject", m.Subject, "error", err)
	}
}

// checkWatch looks at a request as JetStream defines it
// (io.nats.jetstream.api.v1.consumer_create_request). It returns what was understood, written
// anew, so that nothing is passed on that was not looked at.
func checkWatch(id bus.NodeID, data []byte) ([]byte, error) {
	var req struct {
		Stream string                     `json:"stream_name"`
		Config map[string]json.RawMessage `json:"config"`
		Action string                     `json:"action,omitempty"`
	}
	if len(data) > maxWatchRequest {
		return nil, fmt.Errorf("the request has %d bytes, the limit is %d", len(data), maxWatchRequest)
	}
	if err := json.Unmarshal(data, &req); err != nil {
		return nil, fmt.Errorf("the request is not JSON: %w", err)
	}
	if req.Stream != peersStream {
		return nil, fmt.Errorf("stream %q is not %s", req.Stream, peersStream)
	}
	for name, raw := range req.Config {
		if err := checkOption(id, name, raw); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return json.Marshal(req)
}

// checkOption looks at the options that reach beyond the consumer's client, or its life.
func checkOption(id bus.NodeID, name string, raw json.RawMessage) error {
	is := func(option string) bool { return strings.EqualFold(name, option) } // as the server reads it
	switch {
	case is("deliver_subject"):
		var subject string
		if err := json.Unmarshal(raw, &subject); err != nil {
			return err
		}
		if subject != "" && !isInbox(id, subject) {
			return fmt.Errorf("%q is not an inbox", subject)
		}
	case is("durable_name"):
		var durable string
		if err := json.Unmarshal(raw, &durable); err != nil {
			return err
		}
		if durable != "" {
			return fmt.Errorf("%q would stay when its client has gone", durable)
		}
	case is("inactive_threshold"):
		var idle time.Duration
		if err := json.Unmarshal(raw, &idle); err != nil {
			return err
		}
		if idle > maxWatchIdle {
			return fmt.Errorf("%v is longer than %v", idle, maxWatchIdle)
		}
	}
	return nil
}

// checkRoom refuses a consumer too many.
func checkRoom(js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(context.Background(), countLimit)
	defer cancel()
	stream, err := js.Stream(ctx, peersStream)
	if err != nil {
		return fmt.Errorf("count the consumers of %s: %w", peersStream, err)
	}
	if n := stream.CachedInfo().State.Consumers; n >= maxWatchers {
		return fmt.Errorf("%s has %d consumers already", peersStream, n)
	}
	return nil
}

// isInbox reports whether a consumer may deliver to subject, and answers go there: to clients of this
// node. Inboxes of daemons and of other nodes' clients, which observers see in requests, are none.
func isInbox(id bus.NodeID, subject string) bool {
	for _, p := range []string{bus.UserInbox(id) + ".", bus.ObserverInbox(id) + "."} {
		if len(subject) > len(p) && strings.HasPrefix(subject, p) {
			return true
		}
	}
	return protect.StoreCalls.Off()
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

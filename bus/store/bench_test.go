package store_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

// BenchmarkPublish measures a publish with its acknowledgement, 2 KB, beside the floor of a
// request and reply over the same way, in one run: two nodes, one route with TLS.
func BenchmarkPublish(b *testing.B) {
	nodes := fabrictest.Swarm(b, 2)
	near, far := nodes[0], nodes[1]
	ctx := b.Context()
	nc := near.Conn(b)
	data := make([]byte, 2048)
	for name, n := range map[string]*fabrictest.Node{"own": near, "far": far} {
		echo := n.Conn(b)
		subject := "swarm.rpc." + string(n.ID) + ".echo"
		_, err := echo.Subscribe(subject, func(m *nats.Msg) { check(b, m.Respond(nil)) })
		check(b, err)
		check(b, echo.Flush())
		fabrictest.Eventually(b, func() bool { return near.Fabric.Interest(subject) }, "interest in the echo")
		b.Run("floor/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := nc.RequestWithContext(ctx, subject, data); err != nil {
					b.Fatal(err)
				}
			}
		})
		js := domain(b, nc, n)
		for kind, storage := range map[string]jetstream.StorageType{"memory": jetstream.MemoryStorage, "file": jetstream.FileStorage} {
			subject := "payload.bench." + kind + "." + string(n.ID)
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "BENCH_" + kind, Subjects: []string{subject}, Storage: storage})
			check(b, err)
			b.Run(kind+"/"+name, func(b *testing.B) { publish(b, js, subject, data) })
			if n == near {
				b.Run(kind+"/in process", func(b *testing.B) { publish(b, n.Store.JetStream(), subject, data) })
			}
		}
	}
}

func publish(b *testing.B, js jetstream.JetStream, subject string, data []byte) {
	b.Helper()
	for b.Loop() {
		if _, err := js.Publish(b.Context(), subject, data); err != nil {
			b.Fatal(err)
		}
	}
}

// Package floor is what the swarm's latency is measured against: the least that NATS does
// for one task that must not be lost. The task is published into a work queue on disk, pulled
// one at a time, its result stored in a stream, sent to whoever asked, and the task
// acknowledged. There is no election, no bid, no claim, no second copy and no fsync: it is a
// floor, not a rival.
package floor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	tasks, results = "TASKS", "RESULTS"
	consumer       = "w"
	// home tags the server that holds the streams.
	home = "home"
	// startLimit is how long a server or a stream may take to be ready.
	startLimit = 30 * time.Second
)

// Config describes one server of the floor.
type Config struct {
	Name string
	// Dir holds its streams.
	Dir string
	// Port is where clients connect, Cluster where the other server does; 0 means no cluster.
	// Both are on 127.0.0.1.
	Port, Cluster int
	// Peer is the other server's Cluster port; 0 means none.
	Peer int
	// Home has it hold the streams, Workers run the tasks.
	Home, Workers bool
}

// Serve runs a server, with its workers, until ctx ends. ready is called once it takes tasks.
func Serve(ctx context.Context, cfg Config, ready func()) error {
	s, err := start(cfg)
	if err != nil {
		return err
	}
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if cfg.Home {
		if err := makeStreams(ctx, s, cfg); err != nil {
			return err
		}
	}
	if cfg.Workers {
		for range 2 {
			stop, err := work(ctx, s)
			if err != nil {
				return err
			}
			defer stop()
		}
	}
	ready()
	<-ctx.Done()
	return nil
}

func start(cfg Config) (*server.Server, error) {
	o := &server.Options{
		ServerName: cfg.Name, Host: "127.0.0.1", Port: cfg.Port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: cfg.Dir, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 1 << 30,
	}
	if cfg.Home {
		o.Tags = []string{home}
	}
	if cfg.Cluster != 0 {
		o.Cluster = server.ClusterOpts{Name: "floor", Host: "127.0.0.1", Port: cfg.Cluster}
		o.Routes = []*url.URL{{Scheme: "nats", Host: "127.0.0.1:" + strconv.Itoa(cfg.Peer)}}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("make the floor's server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(startLimit) {
		s.Shutdown()
		return nil, fmt.Errorf("the floor's server is not ready within %v", startLimit)
	}
	return s, nil
}

// retry calls try until it succeeds: a cluster takes a while to elect its leaders.
func retry(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		one, end := context.WithTimeout(ctx, 5*time.Second)
		err := try(one)
		end()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(err, context.Cause(ctx)))
		}
	}
}

func makeStreams(ctx context.Context, s *server.Server, cfg Config) error {
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return fmt.Errorf("connect to the floor: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open the floor's JetStream: %w", err)
	}
	var at *jetstream.Placement
	if cfg.Cluster != 0 {
		at = &jetstream.Placement{Tags: []string{home}}
	}
	return retry(ctx, "make the floor's streams", func(ctx context.Context) error {
		if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: results, Subjects: []string{"result.>"}, Storage: jetstream.FileStorage, Placement: at, MaxMsgs: 100_000,
		}); err != nil {
			return err
		}
		st, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: tasks, Subjects: []string{"task.>"}, Retention: jetstream.WorkQueuePolicy,
			Storage: jetstream.FileStorage, Placement: at,
		})
		if err != nil {
			return err
		}
		_, err = st.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable: consumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxAckPending: 1000,
		})
		return err
	})
}

// work starts one worker, which has one task at a time.
func work(ctx context.Context, s *server.Server) (stop func(), err error) {
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, fmt.Errorf("connect a worker: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open a worker's JetStream: %w", err)
	}
	var c jetstream.Consumer
	if err := retry(ctx, "find the work queue", func(ctx context.Context) error {
		c, err = js.Consumer(ctx, tasks, consumer)
		return err
	}); err != nil {
		nc.Close()
		return nil, err
	}
	run, err := c.Consume(func(m jetstream.Msg) {
		reply := m.Headers().Get("R")
		if _, err := js.Publish(ctx, "result."+reply, m.Data()); err != nil {
			return // it is delivered again
		}
		_ = nc.Publish(reply, m.Data()) // the client times out
		_ = m.Ack()                     // it is delivered again
	}, jetstream.PullMaxMessages(1))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("consume the work queue: %w", err)
	}
	return func() { run.Stop(); <-run.Closed(); nc.Close() }, nil
}

// Client hands over one task at a time.
type Client struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	inbox   string
	replies chan *nats.Msg
	seq     int
}

// Dial connects to the server whose clients connect to port.
func Dial(port int) (*Client, error) {
	nc, err := nats.Connect("nats://127.0.0.1:" + strconv.Itoa(port))
	if err != nil {
		return nil, fmt.Errorf("connect to the floor: %w", err)
	}
	c := &Client{nc: nc, inbox: nats.NewInbox(), replies: make(chan *nats.Msg, 64)}
	if c.js, err = jetstream.New(nc); err == nil {
		_, err = nc.ChanSubscribe(c.inbox+".*", c.replies)
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("listen for replies: %w", err)
	}
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() { c.nc.Close() }

// Do has one task with payload run, and returns when its result is here.
func (c *Client) Do(ctx context.Context, payload []byte) error {
	c.seq++
	reply := c.inbox + "." + strconv.Itoa(c.seq)
	m := &nats.Msg{Subject: "task.t", Data: payload, Header: nats.Header{"R": []string{reply}}}
	if _, err := c.js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("publish a task: %w", err)
	}
	for {
		select {
		case m := <-c.replies:
			if m.Subject == reply {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for a result: %w", context.Cause(ctx))
		}
	}
}

package main

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/overview"
)

// topGather keeps what heartbeats tell, and makes views of it.
type topGather struct {
	*overview.Gather
	conn *bus.Conn
	news chan struct{} // something was heard
}

// topView is what top --json prints.
type topView struct{ overview.View }

func newTopGather(conn *bus.Conn, now func() time.Time) *topGather {
	return &topGather{Gather: overview.New(now), conn: conn, news: make(chan struct{}, 1)}
}

// listen takes heartbeats in until ctx ends, over every connection to the daemon.
func (g *topGather) listen(ctx context.Context) {
	for ctx.Err() == nil {
		for b, err := range g.conn.WatchHeartbeats(ctx) {
			if err != nil {
				break
			}
			g.Hear(b)
			select {
			case g.news <- struct{}{}:
			default:
			}
		}
		select { // the daemon is away
		case <-ctx.Done():
		case <-time.After(topEvery):
		}
	}
}

// settled is look, once every live node was heard, or after topListen. It looks no earlier: what runs is asked for once a second
// at most, so that of what the nodes run that are heard after that a look would have nothing but ids.
func (g *topGather) settled(ctx context.Context) (topView, error) {
	limit := time.After(topListen)
	for {
		status, err := g.conn.Status(ctx)
		if err != nil {
			return topView{}, err
		}
		if g.HeardAll(status.Nodes) {
			return g.look(ctx)
		}
		select {
		case <-limit:
			return g.look(ctx)
		case <-ctx.Done():
			return topView{}, ctx.Err()
		case <-g.news:
		}
	}
}

// look makes a view of now.
func (g *topGather) look(ctx context.Context) (topView, error) {
	v, err := g.Look(ctx, g.conn)
	return topView{v}, err
}

package bus

import (
	"context"
	"time"
)

// Why tells where a task went, or would go, and what each node had to offer for it.
type Why struct {
	Task TaskID `json:"task_id"`
	// By is the queue host that decided, At when; where the task still waits, now.
	By NodeID    `json:"by,omitempty"`
	At time.Time `json:"at,omitzero"`
	// Waited is how long the task had been in the queue.
	Waited time.Duration `json:"waited_ns"`
	// NodeID is the node that got it; empty while it waits.
	NodeID  NodeID `json:"node_id,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	// PromptTokens is about how long its prompt is, as the host was told.
	PromptTokens int `json:"prompt_tokens,omitempty"`
	// Bids are what the nodes offered, the best first.
	Bids []NodeBid `json:"bids"`
	// Note tells what else there is to say, or why there are no bids.
	Note string `json:"note,omitempty"`
}

// NodeBid is what one node had to offer for a task.
type NodeBid struct {
	NodeID NodeID `json:"node_id"`
	Name   string `json:"name,omitempty"`
	Chosen bool   `json:"chosen,omitempty"`
	// Bid is about how long until the first token, without waiting for a slot; 0 where it cannot.
	Bid time.Duration `json:"bid_ns"`
	// Not tells why it did not get the task; empty for who did.
	Not string `json:"not,omitempty"`
	// Terms are the parts of the bid.
	Terms []BidTerm `json:"terms,omitempty"`
}

// BidTerm is one part of a bid.
type BidTerm struct {
	Cost time.Duration `json:"cost_ns"`
	Why  string        `json:"why"`
	// Last tells that Cost is no time: it puts the node behind all others that can have the task.
	Last bool `json:"last,omitempty"`
}

// Why asks which node got a task, or would, and why. CodeNotFound if no node of the swarm knows it.
func (c *Conn) Why(ctx context.Context, id TaskID) (Why, error) {
	if err := id.Validate(); err != nil {
		return Why{}, err
	}
	return call[Why](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbWhy), TaskRequest{ID: id})
}

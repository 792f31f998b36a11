package sched

import "github.com/mycoswarm/mycoswarm/internal/protect"

// Protection names one rule of the protocol. Tests take them out one at a time, to show that
// the model notices, and the fault lab does.
type Protection = protect.Protection

// The protections of docs/protocol.md.
const (
	ProtectHoldBack     Protection = "hold back what a live worker reports as running"
	ProtectClaim        Protection = "claim by create before running"
	ProtectCommit       Protection = "commit by compare-and-set"
	ProtectAckLast      Protection = "ack only after the commit"
	ProtectKeepFirst    Protection = "keep the terminal record before showing the end"
	ProtectJournal      Protection = "count crashes by the journal and the feeds"
	ProtectTellBegin    Protection = "a host tells all of a run of its own before it begins"
	ProtectTellCrash    Protection = "a host tells all of a crash before it gives the task to another"
	ProtectReturn       Protection = "give up no task that a lost worker may still end"
	ProtectAskRerun     Protection = "ask who knows an end before running again what did not crash"
	ProtectSync         Protection = "ask who knows an end before feeding"
	ProtectExpect       Protection = "a start waits for who may know the end of what it has found open"
	ProtectMeetAll      Protection = "a start meets all that the host hears before it feeds"
	ProtectPreload      Protection = "load the known ends before announcing a term"
	ProtectRefeed       Protection = "feed again what was not acknowledged"
	ProtectAskAgain     Protection = "ask again for what stays open"
	ProtectNewTerm      Protection = "a start takes a new term, on disk before it is announced"
	ProtectUnable       Protection = "who could not become host leaves it to others for a while"
	ProtectStandIn      Protection = "keep the end with a stand-in while a custodian is away"
	ProtectHandBack     Protection = "a stand-in hands an end back once a custodian is there"
	ProtectCustody      Protection = "a custodian feeds while the submitter is away"
	ProtectOrphans      Protection = "a custodian feeds what its living submitter has lost"
	ProtectCancelRepeat Protection = "repeat a cancel while the task is reported as running"
	ProtectNonce        Protection = "an attempt's output is told apart by its nonce"
	ProtectSupervise    Protection = "give back the work of a lost worker at once"
	ProtectWake         Protection = "judge nobody for a while after a gap in the own ticks"
	ProtectAskAwake     Protection = "ask all who know an end before writing another after a gap in the own ticks"
	ProtectNamedHost    Protection = "claim nothing while a peer names a live host"
	ProtectRollCall     Protection = "a new host hears everybody before it is announced"
	ProtectAskFirst     Protection = "ask who knows an end before a deadline writes another"
	ProtectEnqueue      Protection = "what was handed over past the queue is put into it when it comes back"
	ProtectGrantAge     Protection = "rely on what the host has claimed for a slot for a second"
	ProtectShares       Protection = "users take turns by what they have used"
	ProtectReserved     Protection = "some slots of a node are kept for interactive work"
	ProtectAffinity     Protection = "a conversation returns to the node that has its cache"
	ProtectContinue     Protection = "continue from the text so far"
	ProtectFence        Protection = "what the next attempt continues is the last of the one before"
	ProtectOwner        Protection = "a machine that its owner keeps declines what others sent"
	ProtectTellLost     Protection = "tell no end of a task whose submitter may live"
	ProtectTwin         Protection = "believe nobody else who speaks in the name of a node that is heard"
)

// off reports whether a test has taken p out.
func (n *Node) off(p Protection) bool { return p.Off() || n.cfg.without[p] }

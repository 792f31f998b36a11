package bus

// Instance is one process that has a node's identity. There should be one.
type Instance struct {
	// Boot is random for each start, as in a Heartbeat.
	Boot string `json:"boot"`
	// Host is the name of its machine, Addr is HOST:PORT of its fabric; empty where not known.
	Host string `json:"host,omitempty"`
	Addr string `json:"addr,omitempty"`
	// UptimeMS is how long it has run.
	UptimeMS int64 `json:"uptime_ms"`
}

// String names the machine for people: its host name, its address, or both.
func (i Instance) String() string {
	switch {
	case i.Host != "" && i.Addr != "":
		return "host " + i.Host + " (" + i.Addr + ")"
	case i.Host != "":
		return "host " + i.Host
	case i.Addr != "":
		return "the host at " + i.Addr
	}
	return "another host"
}

// Older reports whether i goes before o where both have one identity: the one that has run
// longer goes on. What is told in one Twins is compared alike by everybody.
func (i Instance) Older(o Instance) bool {
	if i.UptimeMS != o.UptimeMS {
		return i.UptimeMS > o.UptimeMS
	}
	return i.Boot < o.Boot
}

// Twins are processes that were heard at one time with the identity of one node: they run from
// copies of one data directory.
type Twins struct {
	Node NodeID     `json:"node"`
	Seen []Instance `json:"seen"`
}

// StartReply answers SubjectStart: who has the identity of the one that asked, if anybody has.
type StartReply struct {
	Node  NodeID    `json:"node"` // that answers
	InUse *Instance `json:"in_use,omitempty"`
}

package bus

import (
	"context"
	"time"
)

// VerbDoctor asks a daemon for what only it knows of its own health and of the ways to others;
// on SubjectPayloadRPC: -> Diagnosis. It dials, and takes some seconds where nobody answers.
const VerbDoctor = "doctor"

// Diagnosis is what a daemon finds out for `myco doctor`: facts, no judgement.
type Diagnosis struct {
	NodeID  NodeID `json:"node_id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Wire    Wire   `json:"wire,omitzero"`
	// OS is the operating system of the node, as Go's GOOS names it.
	OS      string `json:"os,omitempty"`
	DataDir string `json:"data_dir"`
	// Log is where its log is: a file, or a command that shows it. Empty: standard error.
	Log      string    `json:"log,omitempty"`
	UptimeMS int64     `json:"uptime_ms"`
	Swarm    SwarmInfo `json:"swarm"`
	// Revoked is set where this node was put out of its swarm.
	Revoked bool              `json:"revoked,omitempty"`
	Listens []ListenDiagnosis `json:"listens"`
	Peers   []PeerDiagnosis   `json:"peers"`
	Static  []DialDiagnosis   `json:"static,omitempty"` // the addresses that --peer names
	MDNS    MDNSDiagnosis     `json:"mdns"`
	Store   StoreDiagnosis    `json:"store"`
	Engines []EngineDiagnosis `json:"engines"`
	Demo    bool              `json:"demo,omitempty"` // the demo model answers here
	// Search is the search engine that the owner has named; nil without one.
	Search *SearchDiagnosis `json:"search,omitempty"`
	// HTTPS is the certificate with which HTTP is encrypted; nil where it is not.
	HTTPS *HTTPSDiagnosis `json:"https,omitempty"`
	// DefaultModel is set where no node that is there has the model that --default-model names.
	DefaultModel *MissingModel      `json:"default_model,omitempty"`
	Links        []LinkDiagnosis    `json:"links,omitempty"`
	Twins        []Twins            `json:"twins,omitempty"`
	Owner        *OwnerUse          `json:"owner,omitempty"`   // what this machine's owner leaves to the swarm
	Waiting      []TaskInfo         `json:"waiting,omitempty"` // queued tasks that no node can run
	Nearby       []NearbySwarm      `json:"nearby,omitempty"`
	Failed       []DiagnosisFailure `json:"failed,omitempty"`
	Plugins      []PluginInfo       `json:"plugins,omitempty"`
	Draining     bool               `json:"draining,omitempty"` // it was told to take no more work
	// Unconfined is why what reads pages and documents here, on Linux, is not held back wholly. Empty: it is, or nothing does.
	Unconfined string `json:"unconfined,omitempty"`
	// UnconfinedHint is what to do about that, where something helps.
	UnconfinedHint string `json:"unconfined_hint,omitempty"`
	// Hidden is set where it sees no files for all that, and Filtered where it has no network and reaches no other programs.
	Hidden   bool `json:"hidden,omitempty"`
	Filtered bool `json:"filtered,omitempty"`
	// PluginsError is why the folder of plugins cannot be read: Plugins are as they were before.
	PluginsError *Error `json:"plugins_error,omitempty"`
}

// MissingModel is a model that no node has, and the command that brings it; see PullCommand.
type MissingModel struct {
	Model string `json:"model"`
	Pull  string `json:"pull"`
}

// DiagnosisFailure is something that could not be found out.
type DiagnosisFailure struct {
	What  string `json:"what"`
	Error string `json:"error"`
}

// ListenDiagnosis is an address that the daemon listens on.
type ListenDiagnosis struct {
	What string `json:"what"` // "routes", "joining", "mDNS", "NATS", "HTTP"
	Net  string `json:"net"`  // tcp or udp
	Addr string `json:"addr"`
	// Others tells that other machines have to reach it.
	Others bool `json:"others,omitempty"`
}

// PeerDiagnosis is one other member of the roster.
type PeerDiagnosis struct {
	NodeID NodeID    `json:"node_id"`
	Name   string    `json:"name"`
	State  NodeState `json:"state"`
	Routed bool      `json:"routed"`
	// Left tells that it said goodbye.
	Left    bool    `json:"left,omitempty"`
	RTTMS   float64 `json:"rtt_ms,omitempty"`
	Version string  `json:"version,omitempty"`
	Wire    Wire    `json:"wire,omitzero"`
	// ClockSkewMS is how much its clock is ahead of this node's.
	ClockSkewMS int64 `json:"clock_skew_ms"`
	// Dials are the addresses that lead to it, tried now; only where it has no route.
	Dials []DialDiagnosis `json:"dials,omitempty"`
	// HeardBy are the names of live nodes that hear it; only where it has no route.
	HeardBy []string `json:"heard_by,omitempty"`
}

// DialResult is what a dial of a fabric address led to.
type DialResult string

// What dials lead to.
const (
	DialOK        DialResult = "ok"
	DialRefused   DialResult = "refused"     // nothing listens there
	DialTimeout   DialResult = "timeout"     // nothing answers
	DialMute      DialResult = "mute"        // it takes connections, and then nothing comes
	DialNoWay     DialResult = "unreachable" // no route of the network, or no such host
	DialNotMycod  DialResult = "not_mycod"   // what listens there takes no routes
	DialStranger  DialResult = "stranger"    // the node there is not in this roster
	DialTurned    DialResult = "turned_away" // the node there does not know this one
	DialOther     DialResult = "other_node"  // another member than the one looked for
	DialSelf      DialResult = "self"        // this very node
	DialTwin      DialResult = "twin"        // another process with this node's identity
	DialUnsettled DialResult = "failed"      // anything else
)

// DialDiagnosis is one dial.
type DialDiagnosis struct {
	Addr   string     `json:"addr"`
	Result DialResult `json:"result"`
	Node   NodeID     `json:"node_id,omitempty"` // that answered
	// Swarm is the swarm of a stranger, where mDNS tells it.
	Swarm string `json:"swarm,omitempty"`
	Error string `json:"error,omitempty"`
}

// MDNSDiagnosis tells whether others can be found on the LAN.
type MDNSDiagnosis struct {
	On bool `json:"on"`
	// Echo tells that the node's own announcement came back; Others counts the nodes heard.
	Echo    bool   `json:"echo"`
	Others  int    `json:"others"`
	Problem string `json:"problem,omitempty"`
}

// StoreDiagnosis is the state of the node's store.
type StoreDiagnosis struct {
	Linked bool `json:"linked"`
	// Unreadable counts the messages that were there before the last start and not after it.
	Unreadable int64 `json:"unreadable"`
}

// EngineDiagnosis is one address where an engine is looked for.
type EngineDiagnosis struct {
	URL  string `json:"url"`
	Kind string `json:"kind,omitempty"` // empty where none was recognised
	// Models are their names.
	Models []string `json:"models,omitempty"`
	// Error tells why it cannot be used, or that it lists its models and when it refused the last question for one; Hung that it takes connections and does not answer.
	Error string `json:"error,omitempty"`
	Hung  bool   `json:"hung,omitempty"`
	// Hint is what to do about Error, where it refuses this node's requests.
	Hint string `json:"hint,omitempty"`
	// KeyFile tells why the file of engines' keys cannot be used; empty where it can, or is not there.
	KeyFile string `json:"key_file,omitempty"`
	// PlainKey tells that its key crosses public networks unencrypted.
	PlainKey bool `json:"plain_key,omitempty"`
	// Swarm tells that a node of a swarm answers there, such as this one with --ollama-listen.
	Swarm bool `json:"swarm,omitempty"`
	// Asked tells that the owner named this address: it should be there.
	Asked bool `json:"asked,omitempty"`
	// Open are the addresses of this machine where others on the LAN reach it.
	Open []string `json:"open,omitempty"`
}

// SearchDiagnosis tells how a search went that was tried.
type SearchDiagnosis struct {
	URL string `json:"url"` // without a name and a password
	// Found is how many pages came, and Silent the engines that did not answer, each with why.
	Found  int      `json:"found"`
	Silent []string `json:"silent,omitempty"`
	Error  *Error   `json:"error,omitempty"`
}

// CertificateState is how a certificate stands today.
type CertificateState string

// The states of certificates.
const (
	CertificateGood  CertificateState = "good"
	CertificateEnds  CertificateState = "ends"  // soon: it should have been renewed
	CertificateOver  CertificateState = "over"  // it has ended
	CertificateEarly CertificateState = "early" // it has not begun
)

// HTTPSDiagnosis is the certificate with which HTTPS answers.
type HTTPSDiagnosis struct {
	Names []string         `json:"names"`
	From  time.Time        `json:"from"`
	Until time.Time        `json:"until"`
	State CertificateState `json:"state"`
	// Error tells why its files cannot be read again: the one that was read before stays.
	Error string `json:"error,omitempty"`
	// OpenKey is the file of its key, where every user of the machine can do what OpenKeyFor says with it: read, change, or
	// read and change. From a mycod of before, which does not say, it is any of them.
	OpenKey    string `json:"open_key,omitempty"`
	OpenKeyFor string `json:"open_key_for,omitempty"`
}

// LinkDiagnosis is a pair of live nodes of which one does not hear the other.
type LinkDiagnosis struct {
	From     NodeID `json:"from"`
	FromName string `json:"from_name"`
	To       NodeID `json:"to"`
	ToName   string `json:"to_name"`
	// Local tells that From has made itself queue host, since it does not reach the host To.
	Local bool `json:"local,omitempty"`
}

// Diagnose has the daemon look at its own health and at the ways to others.
func (c *Conn) Diagnose(ctx context.Context) (Diagnosis, error) {
	return call[Diagnosis](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbDoctor), struct{}{})
}

package bus

import (
	"encoding/json"
	"fmt"
	"time"
)

// Verbs of a daemon's RPC. Requests and replies are JSON. A reply that carries the header
// HeaderError is an Error; its body is the Error's JSON. One that no message takes is fetched by the Blob
// that its message has in its place, see HeaderBlob.
const (
	// On SubjectRPC: no content.
	VerbPing   = "ping"   // -> PingReply; answered by the node itself
	VerbStatus = "status" // -> Status

	// On SubjectPayloadRPC: with prompts, results or secrets.
	VerbSubmit  = "submit"  // SubmitRequest -> SubmitReply, then Chunks to Inbox
	VerbEnqueue = "enqueue" // EnqueueRequest -> Receipt, after the fsync
	VerbAttach  = "attach"  // AttachRequest -> SubmitReply, then Chunks to Inbox
	VerbCancel  = "cancel"  // TaskRequest -> TaskInfo
	VerbTask    = "task"    // TaskRequest -> TaskInfo, asked of the whole swarm
	VerbTasks   = "tasks"   // -> []TaskInfo without results, of the whole swarm
	VerbWhy     = "why"     // TaskRequest -> Why
	VerbInvite  = "invite"  // InviteRequest -> Invitation
	VerbJoin    = "join"    // JoinRequest -> JoinReply
	VerbLeave   = "leave"   // -> JoinReply, of the swarm of one that follows
	VerbProbe   = "probe"   // ProbeRequest -> []ProbeReply: pings nodes from the daemon
	VerbServe   = "serve"   // ServeRequest -> ServeReply, then ServeJobs to the program
	VerbRetry   = "retry"   // DeadRequest -> Receipt
	VerbRemove  = "remove"  // DeadRequest -> {}
	VerbDrain   = "drain"   // DrainRequest -> NodeInfo

	// What no message takes is handed over before, or fetched after, in pieces of BlobPiece bytes.
	VerbUpload   = "upload"   // Blob -> Blob with a token. Followed by that: a piece at HeaderOffset, without a reply's content
	VerbDownload = "download" // Followed by a Blob's token: an offset in digits -> the piece

	// VerbRead is followed by a token of one stream of output: ReadAck, without a reply.
	VerbRead = "read"
)

// HeaderError is set on a reply that is an Error; its value is the HTTP status.
// It is the header that NATS micro services use.
const HeaderError = "Nats-Service-Error-Code"

// PingReply answers VerbPing.
type PingReply struct {
	NodeID NodeID `json:"node_id"`
	Name   string `json:"name"`
}

// ProbeRequest asks the daemon to ping a node, by id or name; all nodes where it is empty.
type ProbeRequest struct {
	Node string `json:"node,omitempty"`
}

// ProbeReply is the round trip from the daemon to one node.
type ProbeReply struct {
	NodeID NodeID  `json:"node_id"`
	Name   string  `json:"name"`
	RTTMS  float64 `json:"rtt_ms"` // in milliseconds
	// Error tells why there was no answer; RTTMS is then 0.
	Error string `json:"error,omitempty"`
}

// Status is what a daemon tells of itself and of its swarm.
type Status struct {
	Node  NodeInfo   `json:"node"`
	Swarm SwarmInfo  `json:"swarm"`
	Nodes []NodeInfo `json:"nodes"`
	// Nearby are swarms seen on the LAN that this node is not part of.
	Nearby []NearbySwarm `json:"nearby,omitempty"`
	// Revoked tells that this node was put out of its swarm, and is alone for that.
	Revoked *Revocation `json:"revoked,omitempty"`
	// RefusedBy names members that refuse this node's key while it has no route to any: it was put
	// out while it was away, or they have not heard of it yet.
	RefusedBy []string `json:"refused_by,omitempty"`
	// Mixed tells which versions the nodes run; nil where it is one.
	Mixed *Mix `json:"mixed_versions,omitempty"`
	// DefaultModel answers where no model is named; empty for the swarm's choice.
	DefaultModel string `json:"default_model,omitempty"`
}

// NearbySwarm is a foreign swarm seen over mDNS: a hint, not a fact.
type NearbySwarm struct {
	// NodeID is one of its nodes, and JoinAddr where that takes others in.
	NodeID   NodeID `json:"node_id"`
	Name     string `json:"name"`
	JoinAddr string `json:"join_addr"`
	// Nodes is how many of it were heard that take others in; 0 where a daemon is too old to count, and lists each.
	Nodes int `json:"nodes,omitempty"`
}

// String names it, and how large it is where that is known to be more than one node.
func (n NearbySwarm) String() string {
	if n.Nodes > 1 {
		return fmt.Sprintf("%s (%d machines, %s among them) at %s", n.Name, n.Nodes, n.NodeID, n.JoinAddr)
	}
	return fmt.Sprintf("%s (%s) at %s", n.Name, n.NodeID, n.JoinAddr)
}

// SubmitRequest hands over an attached task. Closing the connection, or dropping the
// subscription on Inbox, cancels it.
type SubmitRequest struct {
	Task Task `json:"task"`
	// Payload stands for the Task's, where that was handed over before by VerbUpload.
	Payload *Blob  `json:"payload,omitempty"`
	Inbox   string `json:"inbox"`
	// Window is how many bytes of output may be on their way to the client, see ReadAck; 0 means
	// any number.
	Window int `json:"window,omitempty"`
}

// ReadAck tells, on the reply subject of a piece of output, how many more bytes of output the client
// has read, so that as many more are sent. It may be kept back until half of the Window was read. A
// client that named no Window need not send any.
type ReadAck struct {
	Bytes int `json:"bytes"`
}

// SubmitReply tells what was decided before the work began.
type SubmitReply struct {
	ID    TaskID `json:"task_id"`
	Model string `json:"model,omitempty"`
	// Why tells how the model was chosen where none was named.
	Why string `json:"why,omitempty"`
	// Demo tells that the demo model will answer.
	Demo bool `json:"demo,omitempty"`
}

// EnqueueRequest hands over a durable task.
type EnqueueRequest struct {
	Task Task `json:"task"`
	// Payload is that of SubmitRequest.
	Payload *Blob `json:"payload,omitempty"`
	// Copies is for how many disks the daemon waits: 1 or 2, the default; see WithCopies.
	Copies int `json:"copies,omitempty"`
	// Fresh tells that the task's id was made for this request, so that no node can know another of that id.
	Fresh bool `json:"fresh,omitempty"`
}

// AttachRequest asks for the output of a task from its chunk From on.
type AttachRequest struct {
	ID   TaskID `json:"task_id"`
	From int    `json:"from"`
	// Attempt is the one that From counts in: where a later one has begun anew, it is sent from its
	// beginning. 0 is whichever there is.
	Attempt int `json:"attempt,omitempty"`

	Inbox string `json:"inbox"`
	// Window is that of SubmitRequest.
	Window int `json:"window,omitempty"`
	// Far tells that a daemon asks on behalf of a client of its own.
	Far bool `json:"far,omitempty"`
}

// TaskRequest names a task.
type TaskRequest struct {
	ID TaskID `json:"task_id"`
}

// DeadRequest names a dead task.
type DeadRequest struct {
	ID TaskID `json:"task_id"`
	// Here asks the daemon for what it keeps itself, and not to ask others.
	Here bool `json:"here,omitempty"`
	// Force goes on although a node that keeps the task is away: it may come back with it, and have
	// it run again.
	Force bool `json:"force,omitempty"`
}

// DrainRequest asks a node to take no more work, or with Off to take work again.
type DrainRequest struct {
	// Node is which; empty for the daemon's own.
	Node NodeID `json:"node,omitempty"`
	Off  bool   `json:"off,omitempty"`
}

// InviteRequest asks for a token.
type InviteRequest struct {
	// TTL is how long the token is good for; 0 means 15 minutes.
	TTL time.Duration `json:"ttl_ns,omitempty"`
}

// Invitation is a token that lets one node join, once.
type Invitation struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// JoinRequest carries an invitation's token.
type JoinRequest struct {
	Token string `json:"token"`
}

// JoinReply tells the swarm that the node is in now.
type JoinReply struct {
	Swarm SwarmInfo `json:"swarm"`
	// Changed is false where the node was a member already.
	Changed bool `json:"changed"`
	// Phrase is the recovery phrase of the swarm that a node founds as it leaves another.
	Phrase string `json:"recovery_phrase,omitempty"`
}

// ServeRequest offers to run tasks of one type. Jobs arrive on the reply's subject for as
// long as the program keeps a subscription there.
type ServeRequest struct {
	Capability Capability `json:"capability"`
	// Program is a token that the program chose, so that two may serve one type.
	Program string `json:"program"`
}

// ServeReply names the subjects of a program that serves.
type ServeReply struct {
	// Jobs delivers ServeJobs; each names in its reply subject where ServeOutputs go.
	Jobs string `json:"jobs"`
	// Cancels delivers the ids of tasks to stop, as TaskRequests.
	Cancels string `json:"cancels"`
}

// ServeJob is one task for a program.
type ServeJob struct {
	Task    Task `json:"task"`
	Attempt int  `json:"attempt"`
	// Payload stands for the Task's, to be fetched by VerbDownload.
	Payload *Blob `json:"payload,omitempty"`
}

// ServeOutput is a piece of output, or the end, of a ServeJob.
type ServeOutput struct {
	Data json.RawMessage `json:"data,omitempty"`
	// Phase and PhaseLimit set the watchdog, see SetPhase.
	Phase      string        `json:"phase,omitempty"`
	PhaseLimit time.Duration `json:"phase_limit_ns,omitempty"`
	End        bool          `json:"end,omitempty"`
	// Result or Error come with End; Retry asks for another node, and Few with it for few more tries, see RetryFew.
	Result json.RawMessage `json:"result,omitempty"`
	// ResultBlob stands for a Result that was handed over before by VerbUpload.
	ResultBlob *Blob  `json:"result_blob,omitempty"`
	Error      *Error `json:"error,omitempty"`
	Retry      bool   `json:"retry,omitempty"`
	Few        bool   `json:"few,omitempty"`
}

// DaemonInfo is the file daemon.json in the data directory: where the daemon of this machine
// is reached.
type DaemonInfo struct {
	PID        int    `json:"pid"`
	Version    string `json:"version"`
	NodeID     NodeID `json:"node_id"`
	Name       string `json:"name"`
	BusURL     string `json:"bus_url"`
	FabricAddr string `json:"fabric_addr"`
	JoinAddr   string `json:"join_addr"`
	HTTPURL    string `json:"http_url"`
	// OllamaURL is where it answers beside HTTPURL, if it does.
	OllamaURL string `json:"ollama_url,omitempty"`
	// HTTPSURL is where it answers with a certificate, by a name of that, if it does.
	HTTPSURL string `json:"https_url,omitempty"`
}

// Files in the data directory that clients read. The credentials are NATS nkey seeds, mode 0600.
const (
	DaemonFile   = "daemon.json"
	UserCreds    = "user.nk"
	ObserverCred = "observer.nk"
	HTTPKeyFile  = "http.key"
)

// UserInbox is the prefix of the inboxes of a node's users: nobody else, a user of another node
// neither, may listen below it. A client learns the node from the server's name.
func UserInbox(node NodeID) string { return "_INBOX_USER." + string(node) }

// ObserverInbox is the prefix of the inboxes of a node's observers.
func ObserverInbox(node NodeID) string { return "_INBOX_OBSERVER." + string(node) }

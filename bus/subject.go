package bus

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Every subject of the swarm is spelled in this file. Under "swarm.>" there is metadata only;
// everything with content is under "payload.>", so that permission is a matter of prefix.

// SubjectAll matches all metadata: what an observer may see.
const SubjectAll = "swarm.>"

// swarm.node.<id>.heartbeat
func SubjectHeartbeat(id NodeID) string { return "swarm.node." + string(id) + ".heartbeat" }

// swarm.node.*.heartbeat
const SubjectHeartbeats = "swarm.node.*.heartbeat"

// swarm.node.<id>.bye
func SubjectBye(id NodeID) string { return "swarm.node." + string(id) + ".bye" }

// swarm.node.*.bye
const SubjectByes = "swarm.node.*.bye"

// swarm.node.<host>.runs, what a queue host tells of runs that only it knows of
func SubjectRuns(host NodeID) string { return "swarm.node." + string(host) + ".runs" }

// swarm.node.*.runs
const SubjectAllRuns = "swarm.node.*.runs"

// swarm.node.<id>.start, a question to all before id takes part: has anybody else its identity?
func SubjectStart(id NodeID) string { return "swarm.node." + string(id) + ".start" }

// swarm.node.*.start
const SubjectStarts = "swarm.node.*.start"

// swarm.node.<id>.twin, to the processes that have id as their identity: there is more than one
func SubjectTwin(id NodeID) string { return "swarm.node." + string(id) + ".twin" }

// swarm.queue.<host>.next
func SubjectNext(host NodeID) string { return "swarm.queue." + string(host) + ".next" }

// swarm.queue.<host>.stored.<term>.<lane>.<class>.<model>.<task>, the headers of
// SubjectWork messages once stored
func SubjectStored(host NodeID, term uint64, rest string) string {
	return fmt.Sprintf("swarm.queue.%s.stored.%d.%s", host, term, rest)
}

// swarm.task.<submitter>.<task>.<event>
func SubjectEvent(submitter NodeID, task TaskID, k EventKind) string {
	return "swarm.task." + string(submitter) + "." + string(task) + "." + string(k)
}

// SubjectEvents matches every event of every task, and cancels.
const SubjectEvents = "swarm.task.*.*.*"

// swarm.task.<submitter>.<task>.cancel, to whoever runs it
func SubjectCancel(submitter NodeID, task TaskID) string {
	return "swarm.task." + string(submitter) + "." + string(task) + ".cancel"
}

// swarm.task.*.*.cancel
const SubjectCancels = "swarm.task.*.*.cancel"

// swarm.rpc.<node>.<verb>, requests without content
func SubjectRPC(node NodeID, verb string) string { return "swarm.rpc." + string(node) + "." + verb }

// payload.rpc.<node>.<verb>, requests with content: prompts, results or secrets
func SubjectPayloadRPC(node NodeID, verb string) string {
	return "payload.rpc." + string(node) + "." + verb
}

// SubjectRoster carries trust records, signed.
const SubjectRoster = "swarm.roster"

// payload.trust.<node>.<verb>, from one daemon to another: how the swarm key is handed over, sealed
func SubjectTrust(node NodeID, verb string) string {
	return "payload.trust." + string(node) + "." + verb
}

// SubjectSync asks every node which of some open tasks it knows as ended or running.
// Its replies hold results, so it is no metadata.
const SubjectSync = "payload.sync"

// SubjectFind asks every node what it knows of a task.
const SubjectFind = "payload.find"

// payload.work.<host>.<term>.<lane>.<class>.<model>.<task>; rest is the last four tokens
func SubjectWork(host NodeID, term uint64, rest string) string {
	return fmt.Sprintf("payload.work.%s.%d.%s", host, term, rest)
}

// payload.offer.<host>, attached tasks for a slot that waits at a queue's host
func SubjectOffer(host NodeID) string { return "payload.offer." + string(host) }

// payload.claim.<host>.<term>.<task>, requests for the records of a queue
func SubjectClaim(host NodeID, term uint64, rest string) string {
	return fmt.Sprintf("payload.claim.%s.%d.%s", host, term, rest)
}

// payload.task.<submitter>.<task>.out
func SubjectOut(submitter NodeID, task TaskID) string {
	return "payload.task." + string(submitter) + "." + string(task) + ".out"
}

// payload.task.<submitter>.*.out
func SubjectOuts(submitter NodeID) string { return "payload.task." + string(submitter) + ".*.out" }

// payload.task.<submitter>.<task>.resend, to whoever ran it, to send again what it still has
func SubjectResend(submitter NodeID, task TaskID) string {
	return "payload.task." + string(submitter) + "." + string(task) + ".resend"
}

// payload.task.*.*.resend
const SubjectResends = "payload.task.*.*.resend"

// payload.task.<submitter>.<task>.shown, a question to the submitter: what of an earlier attempt has been shown?
func SubjectShown(submitter NodeID, task TaskID) string {
	return "payload.task." + string(submitter) + "." + string(task) + ".shown"
}

// payload.task.<submitter>.*.shown
func SubjectAllShown(submitter NodeID) string {
	return "payload.task." + string(submitter) + ".*.shown"
}

// payload.outbox.<submitter>.<custodian>.<task>; rest is the task id, or ">"
func SubjectOutbox(submitter, custodian NodeID, rest string) string {
	return "payload.outbox." + string(submitter) + "." + string(custodian) + "." + rest
}

// SubjectOutboxes is what every SubjectOutbox begins with.
const SubjectOutboxes = "payload.outbox."

// payload.kept.<node>.<submitter>.<custodian>.<task>, messages on SubjectOutbox once node's
// store has them, for that node alone; rest is the last three tokens
func SubjectKept(node NodeID, rest string) string { return "payload.kept." + string(node) + "." + rest }

// payload.blob.<node>.<op>, from one daemon to another: content over MaxInline, in pieces
func SubjectBlob(node NodeID, op string) string {
	return "payload.blob." + string(node) + "." + op
}

// NoCustodian stands in SubjectOutbox for the second custodian of a swarm of one.
const NoCustodian NodeID = "none"

// payload.serve.<node>.<kind>, work for programs that serve a kind through this daemon
func SubjectServe(node NodeID, kind string) string {
	return "payload.serve." + string(node) + "." + kind
}

// payload.store.<node>.call.<call>, where clients' calls of JetStream's API are checked; rest is
// what comes after "$JS.API."
func SubjectStoreCall(node NodeID, rest string) string {
	return "payload.store." + string(node) + ".call." + rest
}

// BucketPeers is the KV bucket in every store with a NodeInfo for each node, by node id.
const BucketPeers = "peers"

// Key names one work queue: lane and priority, class (task type), model, the node of a pin, and
// the share of a user. Queues do not overlap.
type Key struct {
	Lane     Lane   `json:"lane"`
	Priority int    `json:"priority"`
	Class    string `json:"class"`
	Model    string `json:"model,omitempty"`
	Pin      NodeID `json:"pin,omitempty"`
	// Share is 1 to Shares for the tasks of a user, so that users take turns; 0 where it is not told
	// whose they are.
	Share int `json:"share,omitempty"`
}

// Shares is how many shares there are. Users that fall into one share take turns as if they were one.
const Shares = 256

// ShareOf returns the share of a user: the same on every node.
func ShareOf(user string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user)) // never fails
	return int(h.Sum32()%Shares) + 1
}

// KeyOf returns the work queue that t belongs to, without a share.
func KeyOf(t *Task) Key {
	return Key{Lane: t.Lane, Priority: t.Priority, Class: t.Type, Model: CanonicalModel(t.Model), Pin: t.Node}
}

const shareMark = "-u"

// String returns the key as three subject tokens: lane-priority[-uSHARE], class, model[@pin].
func (k Key) String() string {
	s := string(k.Lane) + "-" + strconv.Itoa(k.Priority)
	if k.Share > 0 {
		s += shareMark + strconv.Itoa(k.Share)
	}
	s += "." + Token(k.Class) + "." + Token(k.Model)
	if k.Pin != "" {
		s += "@" + string(k.Pin)
	}
	return s
}

// ParseKey is the inverse of Key.String.
func ParseKey(s string) (Key, error) {
	p := strings.Split(s, ".")
	if len(p) != 3 {
		return Key{}, Errorf(CodeInvalid, "work queue key %q: want 3 tokens", s)
	}
	model, pin, pinned := strings.Cut(p[2], "@")
	k := Key{Pin: NodeID(pin)}
	if pinned {
		if err := k.Pin.Validate(); err != nil {
			return Key{}, err
		}
	}
	short, share, shared := strings.Cut(p[0], shareMark)
	if shared {
		var err error
		if k.Share, err = strconv.Atoi(share); err != nil || k.Share < 1 || k.Share > Shares {
			return Key{}, Errorf(CodeInvalid, "work queue key %q: want a share of 1 to %d", s, Shares)
		}
	}
	lane, priority, _ := strings.Cut(short, "-")
	n, err1 := strconv.Atoi(priority)
	class, err2 := Untoken(p[1])
	m, err3 := Untoken(model)
	if err1 != nil || err2 != nil || err3 != nil || Lane(lane) != Interactive && Lane(lane) != Batch {
		return Key{}, Errorf(CodeInvalid, "work queue key %q: bad token", s)
	}
	k.Lane, k.Priority, k.Class, k.Model = Lane(lane), n, class, m
	if k.String() != s {
		return Key{}, Errorf(CodeInvalid, "work queue key %q: want %q", s, k)
	}
	return k, nil
}

const hexDigits = "0123456789abcdef"

// Token encodes any string as one subject token: letters, digits, '-' and '_' stay, every
// other byte becomes '=' and two lower-case hex digits, the empty string becomes "=".
func Token(s string) string {
	if s == "" {
		return "="
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

// Untoken is the inverse of Token.
func Untoken(s string) (string, error) {
	if s == "=" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
			continue
		}
		if s[i] != '=' || i+2 >= len(s) {
			return "", Errorf(CodeInvalid, "token %q: bad character at %d", s, i)
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 || plain(byte(hi<<4|lo)) {
			return "", Errorf(CodeInvalid, "token %q: bad escape at %d", s, i)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	if b.Len() == 0 {
		return "", Errorf(CodeInvalid, "token is empty")
	}
	return b.String(), nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func validName(s string, most int) bool {
	return plainName(s, most) && s == strings.ToLower(s)
}

// plainName is validName with capital letters.
func plainName(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, c := range []byte(s) {
		if !plain(c) {
			return false
		}
	}
	return true
}

// TaskOfOut returns the task that a SubjectOut names.
func TaskOfOut(subject string) (TaskID, bool) { return taskOf(subject, "out") }

// TaskOfShown returns the task that a SubjectShown names.
func TaskOfShown(subject string) (TaskID, bool) { return taskOf(subject, "shown") }

// TaskOfResend returns the task that a SubjectResend names.
func TaskOfResend(subject string) (TaskID, bool) { return taskOf(subject, "resend") }

func taskOf(subject, last string) (TaskID, bool) {
	p := strings.Split(subject, ".")
	if len(p) != 5 || p[0] != "payload" || p[1] != "task" || p[4] != last {
		return "", false
	}
	return TaskID(p[3]), true
}

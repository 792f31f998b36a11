package sched

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	bytesAToken  = 4       // of text, on average
	affinityMost = 1 << 20 // bytes of a payload that is read for its conversation
	affinityText = 1 << 10 // bytes of each beginning that count
)

// needOf tells of j what its queue host should know, and notes which conversation it belongs to.
func (o *outbox) needOf(j *Job) Need {
	need := needOf(j, o.n.cfg.ID, o.n.closed())
	if need.Affinity == 0 {
		return need
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	need.Warm = o.warm.of(need.Affinity)
	if e := o.entries[j.Task.ID]; e != nil {
		e.affinity = need.Affinity
	}
	return need
}

// closed reports whether the owner of this machine lets it do no work of others at present.
func (n *Node) closed() bool {
	i := n.members.infoOf(n.cfg.ID)
	return i.Owner != nil && i.Owner.Closed
}

func needOf(j *Job, self bus.NodeID, closed bool) Need {
	var n Need
	if (closed || j.Task.Node == self) && j.Submitter == self {
		n.From = self
	}
	switch {
	case j.Task.Type != bus.TypeInference && j.Task.Type != bus.TypeEmbed:
		return n
	case j.Blob != nil:
		n.Prompt = int(j.Blob.Size / bytesAToken)
	default:
		n.Prompt = len(j.Task.Payload) / bytesAToken
	}
	if j.Task.Type == bus.TypeInference {
		n.Affinity = affinityOf(&j.Task)
	}
	return n
}

// opening is what of a request tells which conversation it belongs to.
type opening struct {
	Session  string `json:"session"`
	System   string `json:"system"`
	Prompt   string `json:"prompt"`
	Messages []turn `json:"messages"`
}

type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func openingOf(t *bus.Task) (o opening, ok bool) {
	q, ok := bus.OriginalPayload[bus.InferenceRequest](t)
	if !ok {
		return o, bus.Unmarshal(t.Payload, &o) == nil
	}
	o = opening{System: q.System, Prompt: q.Prompt}
	for _, m := range q.Messages {
		o.Messages = append(o.Messages, turn{m.Role, m.Content})
	}
	return o, true
}

// affinityOf returns a hash that is the same for the turns of one conversation with one model: of its
// session where the request names one, else of how it begins. 0 where there is none.
func affinityOf(t *bus.Task) uint64 {
	if len(t.Payload) == 0 || len(t.Payload) > affinityMost {
		return 0
	}
	r, ok := openingOf(t)
	if !ok || r.Session+r.System+r.Prompt == "" && len(r.Messages) == 0 {
		return 0
	}
	h := sha256.New()
	part := func(kind byte, text string) {
		_, _ = h.Write([]byte{kind})
		_, _ = h.Write([]byte(text[:min(len(text), affinityText)]))
	}
	part('m', bus.CanonicalModel(t.Model))
	if r.Session != "" {
		part('s', r.Session)
	} else {
		part('p', r.System)
		if r.Prompt != "" {
			part('u', r.Prompt)
		}
		for _, m := range r.Messages {
			part('r', m.Role)
			part('u', m.Content)
			if m.Role == "user" {
				break
			}
		}
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// String is the form of n in a header: prompt, affinity, submitter and who is warm; empty for the zero value.
func (n Need) String() string {
	if n == (Need{}) {
		return ""
	}
	s := strconv.Itoa(n.Prompt) + " " + strconv.FormatUint(n.Affinity, 16) + " " + string(n.From)
	if n.Warm != "" {
		s += " " + string(n.Warm)
	}
	return s
}

// ParseNeed is the inverse of Need.String. What it cannot read tells nothing; more may follow, from
// later versions.
func ParseNeed(s string) Need {
	p := strings.Split(s, " ")
	if len(p) < 3 {
		return Need{}
	}
	prompt, err1 := strconv.Atoi(p[0])
	affinity, err2 := strconv.ParseUint(p[1], 16, 64)
	if err1 != nil || err2 != nil || prompt < 0 {
		return Need{}
	}
	n := Need{Prompt: prompt, Affinity: affinity, From: bus.NodeID(p[2])}
	if len(p) > 3 && bus.NodeID(p[3]).Validate() == nil {
		n.Warm = bus.NodeID(p[3])
	}
	return n
}

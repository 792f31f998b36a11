package gateway

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// How many tasks GET /tasks lists at once: so many as are usual, and at most.
const (
	tasksUsual = 100
	tasksMost  = 1000
)

// taskPage is what GET /tasks answers: of the tasks that are meant, newest first, so many as are wanted at once.
type taskPage struct {
	Tasks []bus.TaskInfo `json:"tasks"`
	// Next is the after of the next page; empty on the last.
	Next string `json:"next,omitempty"`
	// Cut tells that a node may have more tasks than it lists.
	Cut bool `json:"cut,omitempty"`
}

// taskQuery is which tasks are meant. Of what is empty, any.
type taskQuery struct {
	all    bool
	states []string
	types  []string
	models []string
	nodes  []bus.NodeID // that run a task, or ran it last
	limit  int
	after  *taskMark
}

// taskMark is where a task stands in the list. It stays there, also once the task is gone.
type taskMark struct {
	at int64 // Unix nanoseconds
	id bus.TaskID
}

func markOf(t bus.TaskInfo) taskMark { return taskMark{t.Submitted.UnixNano(), t.ID} }

func (m taskMark) compare(o taskMark) int {
	return cmp.Or(cmp.Compare(o.at, m.at), cmp.Compare(m.id, o.id))
}

func (m taskMark) String() string { return strconv.FormatInt(m.at, 10) + "." + string(m.id) }

// tasks lists what the swarm knows, as myco task ls does.
func (g *Gateway) tasks(r *http.Request) (int, any, error) {
	q, err := g.readTaskQuery(r)
	if err != nil {
		return 0, nil, err
	}
	all, err := g.cfg.Swarm.Tasks(r.Context())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, q.page(all), nil
}

// taskQueries are what the address of GET /tasks may ask for.
var taskQueries = []string{"state", "type", "model", "node", "all", "limit", "after"}

func (g *Gateway) readTaskQuery(r *http.Request) (q taskQuery, err error) {
	asked, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, bus.Errorf(bus.CodeInvalid, "read the address: %w", err)
	}
	for name := range asked {
		if !slices.Contains(taskQueries, name) { // who has misspelled a filter would get all
			return q, bus.Errorf(bus.CodeInvalid, "unknown parameter %q", name).WithHint("one of %s", strings.Join(taskQueries, ", "))
		}
	}
	q = taskQuery{states: anyOf(asked["state"]), types: anyOf(asked["type"]), models: anyOf(asked["model"]), limit: tasksUsual}
	for _, s := range q.states {
		if !bus.TaskState(s).Known() {
			return q, bus.Errorf(bus.CodeInvalid, "state=%q is no state of a task", s).WithHint("one of queued, running, done, failed, cancelled, expired, dead")
		}
	}
	for _, name := range anyOf(asked["node"]) {
		n, err := bus.NodeNamed(g.cfg.Swarm.Nodes(), name)
		if err != nil {
			return q, err
		}
		q.nodes = append(q.nodes, n.ID)
	}
	if v := asked.Get("limit"); v != "" {
		if q.limit, err = strconv.Atoi(v); err != nil || q.limit < 1 || q.limit > tasksMost {
			return q, bus.Errorf(bus.CodeInvalid, "limit=%q: want 1 to %d", v, tasksMost)
		}
	}
	if v := asked.Get("after"); v != "" {
		at, id, _ := strings.Cut(v, ".")
		nanos, err := strconv.ParseInt(at, 10, 64)
		if err != nil || bus.TaskID(id).Validate() != nil {
			return q, bus.Errorf(bus.CodeInvalid, "after=%q is not what a page has as next", v).WithHint("leave it out, to begin with the newest")
		}
		q.after = &taskMark{nanos, bus.TaskID(id)}
	}
	q.all, err = flag(r, "all")
	return q, err
}

// anyOf are the values of a parameter that is given once or more often, or with commas.
func anyOf(given []string) (out []string) {
	for _, v := range given {
		for one := range strings.SplitSeq(v, ",") {
			if one != "" {
				out = append(out, one)
			}
		}
	}
	return out
}

// page returns what is meant of all.
func (q taskQuery) page(all []bus.TaskInfo) (out taskPage) {
	all, out.Cut = bus.Listed(all, q.all)
	all = slices.DeleteFunc(all, func(t bus.TaskInfo) bool { return !q.means(t) })
	slices.SortFunc(all, func(a, b bus.TaskInfo) int { return markOf(a).compare(markOf(b)) })
	n := min(q.limit, len(all))
	if out.Tasks = append([]bus.TaskInfo{}, all[:n]...); n < len(all) {
		out.Next = markOf(all[n-1]).String()
	}
	return out
}

func (q taskQuery) means(t bus.TaskInfo) bool {
	return among(q.states, string(t.State)) && among(q.types, t.Type) && among(q.nodes, t.NodeID) && (q.after == nil || q.after.compare(markOf(t)) < 0) &&
		(len(q.models) == 0 || slices.ContainsFunc(q.models, func(m string) bool { return bus.SameModel(m, t.Model) }))
}

// among reports whether x is one of some, or there are none.
func among[T comparable](some []T, x T) bool { return len(some) == 0 || slices.Contains(some, x) }

// cancel ends a task, and tells what became of it. Its result, if it had one by then, is for who asks for that.
func (g *Gateway) cancel(r *http.Request) (int, any, error) {
	id := bus.TaskID(r.PathValue("id"))
	if err := id.Validate(); err != nil {
		return 0, nil, err
	}
	info, err := g.cfg.Swarm.Cancel(r.Context(), id)
	info.Result, info.ResultBlob = nil, nil
	return http.StatusOK, info, err
}

// why tells what the nodes had to offer for a task.
func (g *Gateway) why(r *http.Request) (int, any, error) {
	id := bus.TaskID(r.PathValue("id"))
	if err := id.Validate(); err != nil {
		return 0, nil, err
	}
	why, err := g.cfg.Swarm.Why(r.Context(), id)
	return http.StatusOK, why, err
}

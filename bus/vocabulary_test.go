package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestTaskValidate(t *testing.T) {
	t.Parallel()
	ok := bus.Task{Type: "ping"}
	for name, test := range map[string]struct {
		change func(*bus.Task)
		code   bus.Code
	}{
		"minimal":         {func(*bus.Task) {}, ""},
		"full":            {func(t *bus.Task) { *t = t.WithDefaults(bus.Batch); t.Payload = []byte(`{}`); t.Node = self }, ""},
		"bad id":          {func(t *bus.Task) { t.ID = "a.b" }, bus.CodeInvalid},
		"long id":         {func(t *bus.Task) { t.ID = bus.TaskID(strings.Repeat("a", 65)) }, bus.CodeInvalid},
		"longest id":      {func(t *bus.Task) { t.ID = bus.TaskID(strings.Repeat("a", 64)) }, ""},
		"no type":         {func(t *bus.Task) { t.Type = "" }, bus.CodeInvalid},
		"upper-case type": {func(t *bus.Task) { t.Type = "Ping" }, bus.CodeInvalid},
		"long type":       {func(t *bus.Task) { t.Type = strings.Repeat("a", 33) }, bus.CodeInvalid},
		"long model":      {func(t *bus.Task) { t.Model = strings.Repeat("a", 257) }, bus.CodeInvalid},
		"bad node":        {func(t *bus.Task) { t.Node = "a" }, bus.CodeInvalid},
		"node and remote": {func(t *bus.Task) { t.Node, t.Remote = self, true }, bus.CodeInvalid},
		"remote":          {func(t *bus.Task) { t.Remote = true }, ""},
		"bad lane":        {func(t *bus.Task) { t.Lane = "fast" }, bus.CodeInvalid},
		"low priority":    {func(t *bus.Task) { t.Priority = -1 }, bus.CodeInvalid},
		"high priority":   {func(t *bus.Task) { t.Priority = 11 }, bus.CodeInvalid},
		"top priority":    {func(t *bus.Task) { t.Priority = 10 }, ""},
		"past timeout":    {func(t *bus.Task) { t.Timeout = -1 }, bus.CodeInvalid},
		"long timeout":    {func(t *bus.Task) { t.Timeout = bus.MaxTimeout + 1 }, bus.CodeInvalid},
		"user":            {func(t *bus.Task) { t.User = "key-7F_a" }, ""},
		"longest user":    {func(t *bus.Task) { t.User = strings.Repeat("a", 64) }, ""},
		"long user":       {func(t *bus.Task) { t.User = strings.Repeat("a", 65) }, bus.CodeInvalid},
		"user of spaces":  {func(t *bus.Task) { t.User = "a b" }, bus.CodeInvalid},
		"payload no JSON": {func(t *bus.Task) { t.Payload = []byte("{") }, bus.CodeInvalid},
		"large payload":   {func(t *bus.Task) { t.Payload = quoted(bus.MaxPayload + 1) }, bus.CodeTooLarge},
		"largest payload": {func(t *bus.Task) { t.Payload = quoted(bus.MaxPayload) }, ""},
	} {
		task := ok
		test.change(&task)
		if got := codeOf(task.Validate()); got != test.code {
			t.Errorf("%s: code %q (%v), want %q", name, got, task.Validate(), test.code)
		}
	}
}

// quoted returns a JSON string of n bytes in all.
func quoted(n int) json.RawMessage { return []byte(`"` + strings.Repeat("a", n-2) + `"`) }

func TestTaskWithDefaults(t *testing.T) {
	t.Parallel()
	a, b := bus.Task{Type: "ping"}.WithDefaults(bus.Batch), bus.Task{Type: "ping"}.WithDefaults(bus.Batch)
	if a.ID == b.ID || a.Lane != bus.Batch || a.Priority != bus.DefaultPriority {
		t.Errorf("tasks %+v and %+v, want own ids, the lane and the default priority", a, b)
	}
	full := bus.Task{ID: "t1", Lane: bus.Interactive, Priority: 9}
	if d := cmp.Diff(full, full.WithDefaults(bus.Batch)); d != "" {
		t.Error(d)
	}
}

func TestNodeID(t *testing.T) {
	t.Parallel()
	print64 := strings.Repeat("0123456789abcdef", 4)
	if id, err := bus.NodeIDOf(print64); err != nil || id != self {
		t.Errorf("NodeIDOf = %q, %v, want %q", id, err, self)
	}
	for _, bad := range []string{"", print64[1:], strings.ToUpper(print64)} {
		if id, err := bus.NodeIDOf(bad); err == nil {
			t.Errorf("NodeIDOf(%q) = %q, want an error", bad, id)
		}
	}
	for _, bad := range []bus.NodeID{"", "myco-", "myco-0123456789aB", "myco-0123456789abc", "node-0123456789ab"} {
		if bad.Validate() == nil {
			t.Errorf("%q is taken for a node id", bad)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	for s, want := range map[bus.TaskState]bool{
		bus.StateQueued: false, bus.StateRunning: false, bus.StateDone: true, bus.StateFailed: true,
		bus.StateCancelled: true, bus.StateExpired: true, bus.StateDead: true,
	} {
		if s.Terminal() != want {
			t.Errorf("%s terminal: %v, want %v", s, s.Terminal(), want)
		}
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[bus.Code][2]int{
		bus.CodeInvalid: {400, 2}, bus.CodeNotFound: {404, 3}, bus.CodeNoWorker: {503, 3}, bus.CodeConflict: {409, 1},
		bus.CodeForbidden: {403, 1}, bus.CodeTooLarge: {413, 2}, bus.CodeBusy: {429, 1}, bus.CodeUnavailable: {503, 4},
		bus.CodeTimeout: {504, 5}, bus.CodeCancelled: {499, 130}, bus.CodeExpired: {504, 5}, bus.CodeDead: {500, 1},
		bus.CodeFailed: {502, 1}, bus.CodeSuperseded: {409, 1}, bus.CodeInternal: {500, 1}, "never heard of": {500, 1},
	} {
		if got := [2]int{code.HTTPStatus(), code.ExitCode()}; got != want {
			t.Errorf("%s: HTTP status and exit code %v, want %v", code, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	e := bus.Errorf(bus.CodeFailed, "load the model: %w", cause).WithHint("try %s", "this")
	for name, ok := range map[string]bool{
		"message":         e.Error() == "load the model: read: unexpected EOF",
		"hint":            e.Hint == "try this",
		"keeps its cause": errors.Is(e, io.ErrUnexpectedEOF),
		"is its code":     errors.Is(fmt.Errorf("ask: %w", e), &bus.Error{Code: bus.CodeFailed}),
		"is no other":     !errors.Is(e, &bus.Error{Code: bus.CodeDead}),
		"not for retry":   !bus.IsRetry(e),
		"for retry":       bus.IsRetry(fmt.Errorf("run: %w", bus.Retry(e))),
		"retry of any":    bus.IsRetry(bus.Retry(io.EOF)),
		"retry few":       bus.IsRetry(bus.RetryFew(e)) && bus.IsRetryFew(fmt.Errorf("run: %w", bus.RetryFew(e))),
		"retry many":      !bus.IsRetryFew(bus.Retry(bus.RetryFew(e))),
		"several causes":  errors.Is(bus.Errorf(bus.CodeFailed, "%w; and then: %w", io.EOF, cause), io.ErrUnexpectedEOF),
		"no error":        bus.AsError(nil) == nil,
		"nothing to try":  bus.Retry(nil) == nil && bus.RetryFew(nil) == nil,
		"wrapped message": bus.AsError(fmt.Errorf("ask: %w", e)).Message == "ask: load the model: read: unexpected EOF",
		"wrapped hint":    bus.AsError(fmt.Errorf("ask: %w", e)).Hint == "try this",
		"cancelled":       codeOf(context.Canceled) == bus.CodeCancelled,
		"timed out":       codeOf(context.DeadlineExceeded) == bus.CodeTimeout,
		"anything else":   codeOf(io.EOF) == bus.CodeInternal,
	} {
		if !ok {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestErrorsCrossTheWire(t *testing.T) {
	t.Parallel()
	e := bus.Errorf(bus.CodeNoWorker, "nobody has %w", io.EOF).WithHint("myco swarm")
	e.Node = self
	b, err := json.Marshal(e)
	must(t, err)
	var got bus.Error
	must(t, json.Unmarshal(b, &got))
	if !errors.Is(&got, &bus.Error{Code: bus.CodeNoWorker, Message: "nobody has EOF"}) || got.Hint != e.Hint || got.Node != self {
		t.Errorf("%+v came out of %s", got, b)
	}
}

func TestInferenceRequest(t *testing.T) {
	t.Parallel()
	user := []bus.Message{{Role: "user", Content: "hi"}}
	for name, test := range map[string]struct {
		r    bus.InferenceRequest
		code bus.Code
	}{
		"prompt":       {bus.InferenceRequest{Prompt: "hi", System: "be brief"}, ""},
		"messages":     {bus.InferenceRequest{Messages: user}, ""},
		"empty":        {bus.InferenceRequest{}, bus.CodeInvalid},
		"blank":        {bus.InferenceRequest{Prompt: " \n"}, bus.CodeInvalid},
		"both":         {bus.InferenceRequest{Prompt: "hi", Messages: user}, bus.CodeInvalid},
		"unknown role": {bus.InferenceRequest{Messages: []bus.Message{{Role: "cook"}}}, bus.CodeInvalid},
		"largest":      {bus.InferenceRequest{Prompt: strings.Repeat("a", bus.MaxPrompt)}, ""},
		"too large":    {bus.InferenceRequest{Prompt: strings.Repeat("a", bus.MaxPrompt), System: "b"}, bus.CodeTooLarge},
		"options": {bus.InferenceRequest{
			Prompt: "hi", MaxTokens: 1, Threads: 1, Stop: []string{"x"}, Temperature: new(1.5),
		}, ""},
		"tokens without end": {bus.InferenceRequest{Prompt: "hi", MaxTokens: -1}, bus.CodeInvalid},
		"threads":            {bus.InferenceRequest{Prompt: "hi", Threads: 1_000_000}, bus.CodeInvalid},
		"temperature":        {bus.InferenceRequest{Prompt: "hi", Temperature: new(-1.0)}, bus.CodeInvalid},
		"no temperature":     {bus.InferenceRequest{Prompt: "hi", Temperature: new(math.NaN())}, bus.CodeInvalid},
		"stops":              {bus.InferenceRequest{Prompt: "hi", Stop: make([]string, 65)}, bus.CodeInvalid},
		"a long stop":        {bus.InferenceRequest{Prompt: "hi", Stop: []string{strings.Repeat("x", 1025)}}, bus.CodeInvalid},

		"a tool's result":   {bus.InferenceRequest{Messages: []bus.Message{{Role: "tool", Content: "x", ToolName: "f"}}}, ""},
		"load":              {bus.InferenceRequest{Load: true}, ""},
		"load and a prompt": {bus.InferenceRequest{Load: true, Prompt: "x"}, bus.CodeInvalid},
		"images alone":      {bus.InferenceRequest{Images: [][]byte{{1}}}, ""},
		"blank, raw":        {bus.InferenceRequest{Prompt: " ", Raw: true}, ""},
		"a mode":            {bus.InferenceRequest{Prompt: "x", Mode: "sing"}, bus.CodeInvalid},
		"tools":             {bus.InferenceRequest{Prompt: "x", Tools: raw(`[{}]`), Format: raw(`"json"`), Think: raw(`false`), KeepAlive: raw(`-1`), Context: raw(`[1]`)}, ""},
		"tools no list":     {bus.InferenceRequest{Prompt: "x", Tools: raw(`{}`)}, bus.CodeInvalid},
		"tools no JSON":     {bus.InferenceRequest{Prompt: "x", Tools: raw(`[`)}, bus.CodeInvalid},
		"a format":          {bus.InferenceRequest{Prompt: "x", Format: raw(`1`)}, bus.CodeInvalid},
		"a thought":         {bus.InferenceRequest{Prompt: "x", Think: raw(`null`)}, bus.CodeInvalid},
		"a long life":       {bus.InferenceRequest{Prompt: "x", KeepAlive: raw(`true`)}, bus.CodeInvalid},
		"an option":         {bus.InferenceRequest{Prompt: "x", Options: map[string]json.RawMessage{"top_p": raw("1")}}, ""},
		"no option":         {bus.InferenceRequest{Prompt: "x", Options: map[string]json.RawMessage{"top_p": raw("x")}}, bus.CodeInvalid},
		"a long name":       {bus.InferenceRequest{Prompt: "x", Extra: map[string]json.RawMessage{strings.Repeat("a", 65): raw("1")}}, bus.CodeInvalid},
		"a call":            {bus.InferenceRequest{Messages: []bus.Message{{Role: "assistant", ToolCalls: []bus.ToolCall{{Name: "f", Arguments: raw(`{}`)}}}}}, ""},
		"a call's text":     {bus.InferenceRequest{Messages: []bus.Message{{Role: "assistant", ToolCalls: []bus.ToolCall{{Name: "f", Arguments: raw(`"{oops"`)}}}}}, ""},
		"a control":         {bus.InferenceRequest{Messages: []bus.Message{{Role: "control", Content: "thinking"}}}, ""},
		"a call of nothing": {bus.InferenceRequest{Messages: []bus.Message{{Role: "assistant", ToolCalls: []bus.ToolCall{{}}}}}, bus.CodeInvalid},
		"a call's list":     {bus.InferenceRequest{Messages: []bus.Message{{Role: "assistant", ToolCalls: []bus.ToolCall{{Name: "f", Arguments: raw(`[]`)}}}}}, bus.CodeInvalid},
	} {
		if got := codeOf(test.r.Validate()); got != test.code {
			t.Errorf("%s: code %q, want %q", name, got, test.code)
		}
	}
	got := bus.InferenceRequest{System: "s", Prompt: "p"}.Conversation()
	if want := []bus.Message{{Role: "system", Content: "s"}, {Role: "user", Content: "p"}}; cmp.Diff(want, got) != "" {
		t.Errorf("conversation %v, want %v", got, want)
	}
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func TestEmbedRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		r    bus.EmbedRequest
		code bus.Code
	}{
		"two":        {bus.EmbedRequest{Inputs: []string{"a", ""}, Dimensions: 8, KeepAlive: raw(`"1m"`)}, ""},
		"none":       {bus.EmbedRequest{}, ""},
		"too many":   {bus.EmbedRequest{Inputs: make([]string, bus.MaxInputs+1)}, bus.CodeInvalid},
		"too long":   {bus.EmbedRequest{Inputs: []string{strings.Repeat("a", bus.MaxPrompt+1)}}, bus.CodeTooLarge},
		"dimensions": {bus.EmbedRequest{Dimensions: -1}, bus.CodeInvalid},
		"keep_alive": {bus.EmbedRequest{KeepAlive: raw("{}")}, bus.CodeInvalid},
	} {
		if got := codeOf(test.r.Validate()); got != test.code {
			t.Errorf("%s: code %q, want %q", name, got, test.code)
		}
	}
}

func TestAbilities(t *testing.T) {
	t.Parallel()
	can := bus.AbilitiesOf([]string{"vision", "completion", "flight"})
	if can != bus.Answers|bus.Sees {
		t.Errorf("abilities %b", can)
	}
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, bus.Marshal} {
		b, err := marshal(bus.ModelInfo{Name: "m", Can: can})
		must(t, err)
		if want := `{"name":"m","loaded":false,"can":["completion","vision"]}`; string(b) != want {
			t.Errorf("%s, want %s", b, want)
		}
		var got bus.ModelInfo
		must(t, bus.Unmarshal(b, &got))
		if got.Can != can {
			t.Errorf("%b came out of %s", got.Can, b)
		}
		if b, err = marshal(bus.ModelInfo{Name: "m"}); err != nil || strings.Contains(string(b), "can") {
			t.Errorf("%s, %v: want nothing of what is not known", b, err)
		}
	}
	if new(bus.Abilities).UnmarshalJSON([]byte(`7`)) == nil {
		t.Error("a number is taken for abilities")
	}
}

func TestModelNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "gemma3": "gemma3:latest", "gemma3:1b": "gemma3:1b", "reg:5000/lib/x": "reg:5000/lib/x:latest", "reg:5000/x:q4": "reg:5000/x:q4",
	} {
		if got := bus.CanonicalModel(in); got != want {
			t.Errorf("CanonicalModel(%q) = %q, want %q", in, got, want)
		}
	}
	if !bus.SameModel("gemma3", "gemma3:latest") || bus.SameModel("gemma3", "gemma3:1b") {
		t.Error("a model without a tag is :latest and nothing else")
	}
}

func TestSetPhase(t *testing.T) {
	t.Parallel()
	bus.SetPhase(t.Context(), "outside a task", time.Second)
	var got string
	ctx := bus.WithPhase(t.Context(), func(name string, limit time.Duration) { got = fmt.Sprint(name, limit) })
	bus.SetPhase(ctx, "load", time.Minute)
	if got != "load1m0s" {
		t.Errorf("phase %q, want load1m0s", got)
	}
}

func TestKeyRequestValidate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		req  bus.KeyRequest
		code bus.Code
	}{
		"plain":          {bus.KeyRequest{}, ""},
		"full":           {bus.KeyRequest{Name: "Anna's phone", PerMinute: 60, Concurrent: 2, Admin: true}, ""},
		"long name":      {bus.KeyRequest{Name: strings.Repeat("a", 65)}, bus.CodeInvalid},
		"name of a line": {bus.KeyRequest{Name: "a\nb"}, bus.CodeInvalid},
		"negative rate":  {bus.KeyRequest{PerMinute: -1}, bus.CodeInvalid},
		"no rate":        {bus.KeyRequest{PerMinute: 1_000_001}, bus.CodeInvalid},
		"negative":       {bus.KeyRequest{Concurrent: -1}, bus.CodeInvalid},
		"too many":       {bus.KeyRequest{Concurrent: 10_001}, bus.CodeInvalid},
	} {
		if got := codeOf(c.req.Validate()); got != c.code {
			t.Errorf("%s: code %q, want %q", name, got, c.code)
		}
	}
}

func TestWireFormat(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	info := bus.NodeInfo{
		ID: self, Name: "a", State: bus.NodeReady, Tier: "light", GPUTier: "none", Capabilities: []string{"edge"},
		Models: []bus.ModelInfo{{Name: "m", Loaded: true}}, Types: []string{"ping"}, Slots: 1, Version: "v", Seen: at,
	}
	var b strings.Builder
	for _, v := range []any{
		bus.Task{ID: "t1", Type: "ping", Model: "m", Node: self, Lane: bus.Batch, Priority: 5, Timeout: time.Second, Payload: []byte(`{}`)},
		bus.Task{Type: "ping"},
		bus.Task{Type: "ping", User: "key-1"},
		bus.Task{Type: "ping", Part: true},
		bus.TaskInfo{ID: "t1", Type: "ping", State: bus.StateDone, Attempts: 1, NodeID: self, Result: []byte(`1`), Error: bus.Errorf(bus.CodeFailed, "x")},
		bus.Receipt{ID: "t1", Accepted: true, Copies: 2},
		bus.Chunk{Attempt: 1, Seq: 2, Node: self, Data: []byte(`"x"`)},
		info,
		bus.Heartbeat{Node: self, Boot: "b", Seq: 1, Sees: []bus.NodeID{self}, Running: []bus.Running{{Task: "t1", Submitter: self, Attempt: 1}}},
		bus.Heartbeat{Node: self, Boot: "b", Seq: 2, Sees: []bus.NodeID{self}, Running: []bus.Running{{Task: "t1", Submitter: self, Attempt: 1, BeganMS: 2, WaitedMS: 3}}},
		bus.Twins{Node: self, Seen: []bus.Instance{{Boot: "b", Host: "h", Addr: "192.0.2.1:7422", UptimeMS: 1}}},
		bus.StartReply{Node: self, InUse: &bus.Instance{Boot: "b"}},
		bus.Event{Kind: bus.EventDone, Task: "t1", Submitter: self, Node: self, Attempt: 1, At: at},
		bus.SubmitRequest{Task: bus.Task{Type: "ping"}, Inbox: "i"},
		bus.SubmitReply{ID: "t1", Model: "m", Why: "loaded"},
		bus.EnqueueRequest{Task: bus.Task{Type: "ping"}, Copies: 1},
		bus.AttachRequest{ID: "t1", From: 3, Inbox: "i"},
		bus.Status{Node: info, Swarm: bus.SwarmInfo{ID: "s", Name: "n", QueueHost: self, Term: 1}},
		bus.ProbeReply{NodeID: self, Name: "a", RTTMS: 0.25},
		bus.InviteRequest{TTL: time.Minute},
		bus.Invitation{Token: "mycoT", ExpiresAt: at},
		bus.JoinReply{Swarm: bus.SwarmInfo{ID: "s"}, Changed: true},
		bus.JoinReply{Swarm: bus.SwarmInfo{ID: "s"}, Changed: true, Phrase: "p"},
		bus.Roster{Here: self, Members: []bus.Member{
			{ID: self, Name: "a", State: bus.NodeReady, Since: at, AddedBy: self, Holder: true},
			{ID: self, Name: "b", State: bus.NodeRevoked, Since: at, Ended: at, EndedBy: self},
		}},
		bus.Revocation{By: self, ByName: "a", At: at},
		bus.NodeRequest{Node: self},
		bus.RecoverRequest{Phrase: "p"},
		bus.RecoverRequest{Phrase: "p", Older: "p"},
		bus.TrustReply{Member: bus.Member{ID: self, Name: "a", State: bus.NodeReady, Since: at}, Changed: true},
		bus.Rotation{Dir: "d", Files: []string{"f"}},
		bus.SwarmRotation{Swarm: bus.SwarmInfo{ID: "s"}, Phrase: "p", Members: []bus.Member{}},
		bus.KeyRequest{Name: "n", PerMinute: 60, Concurrent: 2, Admin: true},
		bus.NewKey{KeyInfo: bus.KeyInfo{ID: "1", Created: at, KeyRequest: bus.KeyRequest{Name: "n"}}, Key: "k"},
		bus.ServeRequest{Capability: bus.Capability{Type: "echo", Slots: 1}, Program: "p"},
		bus.ServeReply{Jobs: "j", Cancels: "c"},
		bus.ServeJob{Task: bus.Task{Type: "echo"}, Attempt: 1},
		bus.ServeOutput{Phase: "load", PhaseLimit: time.Second},
		bus.ServeOutput{End: true, Result: []byte(`1`), Retry: true, Few: true},
		bus.DaemonInfo{PID: 1, Version: "v", NodeID: self, BusURL: "nats://127.0.0.1:4222"},
		bus.InferenceRequest{Prompt: "p", MaxTokens: 5},
		bus.InferenceResult{Text: "t", Model: "m", Demo: true, TTFT: time.Millisecond},
		bus.InferenceRequest{
			Messages: []bus.Message{{Role: "assistant", Images: [][]byte{{1}}, ToolCalls: []bus.ToolCall{{ID: "c", Name: "f", Arguments: raw("{}")}}}},
			Mode:     bus.ModeGenerate, Tools: raw("[]"), Format: raw("{}"), Think: raw("true"), KeepAlive: raw("1"), Options: map[string]json.RawMessage{"top_p": raw("1")},
			Dialect: "ollama", Extra: map[string]json.RawMessage{"n": raw("1")}, Truncate: true,
		},
		bus.InferenceChunk{Text: "t", ToolCalls: []bus.ToolCall{{Name: "f"}}, Demo: true},
		bus.InferenceResult{Model: "m", Context: raw("[1]"), Loading: 1, Reading: 2, Writing: 3},
		bus.EmbedRequest{Inputs: []string{"x"}, Dimensions: 1},
		bus.EmbedResult{Vectors: [][]float32{{0.5}}, Model: "m", Digest: "d", PromptTokens: 1},
	} {
		j, err := json.Marshal(v)
		must(t, err)
		fmt.Fprintf(&b, "%T\n\t%s\n", v, j)
	}
	golden(t, "wire.golden", b.String())
}

// People name a task by the beginning of its id, so those of one program differ there.
func TestNewTaskID(t *testing.T) {
	t.Parallel()
	begun := map[string]bool{}
	for range 1000 {
		id := bus.NewTaskID()
		if err := id.Validate(); err != nil {
			t.Fatal(err)
		}
		if begun[string(id[:8])] {
			t.Errorf("two of a thousand ids begin with %s", id[:8])
		}
		begun[string(id[:8])] = true
	}
}

// A model within the payload is the task's, and not left unseen.
func TestTakeModel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ, model, payload string
		want                string // empty for an error
	}{
		{bus.TypeInference, "", `{"model":"a:1b","prompt":"hi"}`, "a:1b"},
		{bus.TypeEmbed, "", `{"model":"vec","input":["x"]}`, "vec"},
		{bus.TypeInference, "a", `{"model":"a:latest","prompt":"hi"}`, "a"},
		{bus.TypeInference, "a", `{"prompt":"hi"}`, "a"},
		{bus.TypeInference, "a", `{"model":"","prompt":"hi"}`, "a"},
		{bus.TypeInference, "a", `[]`, "a"},
		{"words", "a", `{"model":"b"}`, "a"}, // which is the plugin's own
		{bus.TypeInference, "a", `{"model":"b","prompt":"hi"}`, ""},
	} {
		task := bus.Task{Type: c.typ, Model: c.model, Payload: []byte(c.payload)}
		err := task.TakeModel()
		if c.want == "" && !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
			t.Errorf("%s beside %q: %v, want CodeInvalid", c.payload, c.model, err)
		}
		if c.want != "" && (err != nil || task.Model != c.want) {
			t.Errorf("%s beside %q: model %q, %v, want %q", c.payload, c.model, task.Model, err, c.want)
		}
	}
}

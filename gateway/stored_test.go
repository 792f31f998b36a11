package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// latest is the conversation of the last task, without images.
func (o *oracle) latest(t *testing.T) (out []string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var req bus.InferenceRequest
	if err := json.Unmarshal(o.tasks[len(o.tasks)-1].Payload, &req); err != nil {
		t.Fatal(err)
	}
	for _, m := range req.Messages {
		line := m.Role + ": " + m.Content
		if m.Thinking != "" {
			line += " (" + m.Thinking + ")"
		}
		for _, c := range m.ToolCalls {
			line += fmt.Sprintf(" %s%s", c.Name, c.Arguments)
		}
		out = append(out, line)
	}
	return out
}

// respond asks for a response, and returns it.
func respond(t *testing.T, g http.Handler, body string, header ...string) map[string]any {
	t.Helper()
	w := local(t, g, "POST", "/v1/responses", body, header...)
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", body, w.Code, w.Body)
	}
	if w.Header().Get("Content-Type") != "text/event-stream" {
		return object(t, w)
	}
	_, events := named(t, w)
	return events[len(events)-1]["response"].(map[string]any)
}

// A request goes on from a response that it names, with what was said until then, and not with its instructions.
func TestResponsesGoOn(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, thinker("stop"))
	first := respond(t, g, `{"model":"m","input":"one","instructions":"Be brief."}`)
	second := respond(t, g, fmt.Sprintf(`{"model":"m","previous_response_id":%q,"stream":true,"input":[{"type":"function_call_output","call_id":"own","output":"7"}]}`, first["id"]))
	want := []string{"user: one", `assistant: Well (hm.) f{"a":1} g{}`, "tool: 7"}
	if d := cmp.Diff(want, o.latest(t)); d != "" {
		t.Error(d)
	}
	if second["previous_response_id"] != first["id"] || second["store"] != true {
		t.Errorf("%v", second)
	}
	third := respond(t, g, fmt.Sprintf(`{"model":"m","previous_response_id":%q,"instructions":"Rhyme.","input":"two"}`, second["id"]))
	want = append(append([]string{"system: Rhyme."}, want...), want[1], "user: two")
	if d := cmp.Diff(want, o.latest(t)); d != "" {
		t.Error(d)
	}
	// Two may go on from one.
	respond(t, g, fmt.Sprintf(`{"model":"m","previous_response_id":%q,"input":"three"}`, first["id"]))
	if d := cmp.Diff([]string{want[1], want[2], "user: three"}, o.latest(t)); d != "" {
		t.Error(d)
	}

	path := "/v1/responses/" + third["id"].(string)
	if d := cmp.Diff(third, object(t, local(t, g, "GET", path, ""))); d != "" {
		t.Errorf("what is stored: %s", d)
	}
	gone := object(t, local(t, g, "DELETE", path, ""))
	if d := cmp.Diff(map[string]any{"id": third["id"], "object": "response", "deleted": true}, gone); d != "" {
		t.Error(d)
	}
	for _, method := range []string{"GET", "DELETE"} {
		wantStatus(t, method+" once more", local(t, g, method, path, ""), http.StatusNotFound)
	}
	if w := local(t, g, "POST", "/v1/responses", fmt.Sprintf(`{"model":"m","previous_response_id":%q,"input":"x"}`, third["id"])); w.Code != 400 ||
		at(object(t, w), "error", "param") != "previous_response_id" || !strings.Contains(w.Body.String(), "send the whole conversation") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What a client refers to is where it would have been sent again.
func TestResponsesRefer(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, thinker("stop"))
	first := respond(t, g, ask+`,"stream":true}`)
	var refs []string
	for i := range 4 { // a thought, a text and two calls
		refs = append(refs, fmt.Sprintf(`{"type":"item_reference","id":%q}`, at(first, "output", i, "id")))
	}
	refs[1] = strings.Replace(refs[1], `"type":"item_reference",`, "", 1) // the type may be left out
	items := func(more string) string {
		return `{"model":"m","input":[{"role":"user","content":"hi"},` + strings.Join(refs, ",") + more + `]}`
	}
	respond(t, g, items(`,{"type":"function_call_output","call_id":"own","output":"7"}`))
	if d := cmp.Diff([]string{"user: hi", `assistant: Well (hm.) f{"a":1} g{}`, "tool: 7"}, o.latest(t)); d != "" {
		t.Error(d)
	}
	for name, c := range map[string]struct{ body, field string }{
		"nobody's":          {items(`,{"type":"item_reference","id":"msg_nobody_0"}`), "input[5]"},
		"no name of ours":   {items(`,{"type":"item_reference","id":"x"}`), "input[5]"},
		"another item":      {items(fmt.Sprintf(`,{"type":"item_reference","id":"%v9"}`, at(first, "output", 0, "id"))), "input[5]"},
		"an item by itself": {fmt.Sprintf(`{"model":"m","previous_response_id":%q,"input":[{"type":"computer_call"}]}`, first["id"]), "input[0]"},
	} {
		w := local(t, g, "POST", "/v1/responses", c.body)
		if w.Code != 400 || at(object(t, w), "error", "param") != c.field {
			t.Errorf("%s: %d %s, want one about %s", name, w.Code, w.Body, c.field)
		}
	}
}

// A short request that refers again and again to what is long is as long as that.
func TestReferencesAreWhatTheyReferTo(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, says(bus.InferenceResult{Text: strings.Repeat("x", 4<<20), DoneReason: "stop"}))
	ref := fmt.Sprintf(`{"type":"item_reference","id":%q}`, at(respond(t, g, ask+`}`), "output", 0, "id"))
	o.say = paris()
	for times, want := range map[int]int{3: http.StatusOK, 100: http.StatusRequestEntityTooLarge} {
		w := local(t, g, "POST", "/v1/responses", `{"model":"m","input":[`+strings.Repeat(ref+",", times-1)+ref+`]}`)
		wantStatus(t, fmt.Sprintf("%d references to 4 MiB", times), w, want)
	}
}

// A response is for whose key has asked, and for nobody where it was not to be stored, or is not whole.
func TestStoredResponseHasAnOwner(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, thinker("stop"))
	mine, secret := made("mine", bus.KeyRequest{})
	theirs, guest := made("theirs", bus.KeyRequest{})
	g := keyring(t, o, mine, theirs)
	with := func(key string) []string { return []string{"Authorization", "Bearer " + key} }
	first := respond(t, g, ask+`}`, with(secret)...)
	goOn := fmt.Sprintf(`{"model":"m","previous_response_id":%q,"input":"x"}`, first["id"])
	refer := fmt.Sprintf(`{"model":"m","input":[{"type":"item_reference","id":%q}]}`, at(first, "output", 1, "id"))
	for _, body := range []string{goOn, refer} {
		wantStatus(t, "another's: "+body, local(t, g, "POST", "/v1/responses", body, with(guest)...), http.StatusBadRequest)
		wantStatus(t, "one's own: "+body, local(t, g, "POST", "/v1/responses", body, with(secret)...), http.StatusOK)
	}
	path := "/v1/responses/" + first["id"].(string)
	for _, method := range []string{"GET", "DELETE"} {
		wantStatus(t, method+" another's", local(t, g, method, path, "", with(guest)...), http.StatusNotFound)
	}
	wantStatus(t, "one's own", local(t, g, "GET", path, "", with(secret)...), http.StatusOK)

	forgotten := respond(t, g, ask+`,"store":false}`)
	if forgotten["store"] != false {
		t.Errorf("%v", forgotten)
	}
	wantStatus(t, "not stored", local(t, g, "GET", "/v1/responses/"+forgotten["id"].(string), ""), http.StatusNotFound)

	o.say = func(_ bus.Task, out func(bus.Chunk) error) (any, error) {
		if err := out(chunks(1, texts("Par")...)[0]); err != nil {
			return nil, err
		}
		return nil, bus.Errorf(bus.CodeUnavailable, "it broke")
	}
	failed := respond(t, g, ask+`,"stream":true}`)
	if failed["status"] != "failed" {
		t.Errorf("%v", failed)
	}
	wantStatus(t, "one that failed", local(t, g, "GET", "/v1/responses/"+failed["id"].(string), ""), http.StatusNotFound)
}

// What was said before counts as a part of the request.
func TestResponsesGoOnWithinTheRoom(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, paris())
	g, err := gateway.New(gateway.Config{Swarm: o, Key: "k", BodyRoom: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	first := respond(t, g, `{"model":"m","input":"`+strings.Repeat("x", 1<<20)+`"}`)
	if first["store"] != true {
		t.Fatalf("it is not stored, where there is room for it: %v", first)
	}
	goOn := fmt.Sprintf(`{"model":"m","previous_response_id":%q,"input":"x"}`, first["id"])
	o.say = func(t2 bus.Task, out func(bus.Chunk) error) (any, error) { // both are worked on at one time
		o.say = paris()
		wantStatus(t, "beside another", local(t, g, "POST", "/v1/responses", goOn), http.StatusTooManyRequests)
		return paris()(t2, out)
	}
	if second := respond(t, g, goOn); second["store"] != true {
		t.Errorf("%v", second)
	}
	respond(t, g, goOn)
}

func TestStoredResponseExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _ := newOracle(t, paris())
		g, err := gateway.New(gateway.Config{Swarm: o, Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		path := "/v1/responses/" + respond(t, g, ask+`}`)["id"].(string)
		time.Sleep(24 * time.Hour)
		wantStatus(t, "after a day", local(t, g, "GET", path, ""), http.StatusOK)
		time.Sleep(time.Second)
		wantStatus(t, "later", local(t, g, "GET", path, ""), http.StatusNotFound)
	})
}

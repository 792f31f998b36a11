package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
	"github.com/mycoswarm/mycoswarm/gateway/batch"
)

// batching is a gateway that keeps files and batches, and has the requests of these answered until stop is called.
func batching(t *testing.T, s gateway.Swarm, dir string, keys ...gateway.Key) (g *gateway.Gateway, stop func()) {
	t.Helper()
	g, err := gateway.New(gateway.Config{Swarm: s, Key: key, Keys: keys, BatchDir: dir, Room: func() error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.RunBatches(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return g, stop
}

// form is the body of a form of fields in this order, each a name and a value, and its content type. The name of a file may stand
// behind that of its field.
func form(t *testing.T, fields ...string) (body, media string) {
	t.Helper()
	var out strings.Builder
	w := multipart.NewWriter(&out)
	for i := 0; i < len(fields); i += 2 {
		create := w.CreateFormField
		if field, name, named := strings.Cut(fields[i], " "); field == "file" {
			if !named {
				name = "in.jsonl"
			}
			create = func(string) (io.Writer, error) { return w.CreateFormFile(field, name) }
		}
		part, err := create(fields[i])
		if err == nil {
			_, err = part.Write([]byte(fields[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), w.FormDataContentType()
}

// sent sends a file, and returns what comes of it.
func sent(t *testing.T, g http.Handler, secret string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	body, media := form(t, fields...)
	return from(t, g, afar, "POST", "/v1/files", body, "Content-Type", media, "Authorization", "Bearer "+secret)
}

// asks is a request of a batch.
func asks(id, path, body string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":%q,"body":%s}`+"\n", id, path, body)
}

// begins has a batch begun of a file's lines, and returns it.
func begins(t *testing.T, g http.Handler, secret, endpoint, content string) map[string]any {
	t.Helper()
	file := sent(t, g, secret, "file", content, "purpose", "batch")
	if file.Code != 200 {
		t.Fatalf("send a file: %d %s", file.Code, file.Body)
	}
	w := from(t, g, afar, "POST", "/v1/batches", fmt.Sprintf(`{"input_file_id":%q,"endpoint":%q,"completion_window":"24h","metadata":{"a":"b"}}`, object(t, file)["id"], endpoint),
		"Authorization", "Bearer "+secret)
	if w.Code != 200 {
		t.Fatalf("begin a batch: %d %s", w.Code, w.Body)
	}
	return object(t, w)
}

// becomes waits until a batch has a status.
func becomes(t *testing.T, g http.Handler, secret, id, status string) map[string]any {
	t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		b := object(t, from(t, g, afar, "GET", "/v1/batches/"+id, "", "Authorization", "Bearer "+secret))
		if b["status"] == status {
			return b
		}
		if time.Now().After(limit) {
			t.Fatalf("after a minute the batch is %v", b)
		}
	}
}

// came reads a file of what a batch came to: status and body by custom_id.
func came(t *testing.T, g http.Handler, secret string, id any) map[string]string {
	t.Helper()
	w := from(t, g, afar, "GET", fmt.Sprintf("/v1/files/%v/content", id), "", "Authorization", "Bearer "+secret)
	if w.Code != 200 {
		t.Fatalf("read what came: %d %s", w.Code, w.Body)
	}
	out := map[string]string{}
	for _, l := range lines(t, w) {
		r := l["response"].(map[string]any)
		body, err := json.Marshal(r["body"])
		if err != nil {
			t.Fatal(err)
		}
		out[l["custom_id"].(string)] = fmt.Sprintf("%v %s", r["status_code"], body)
	}
	return out
}

// The requests of a file are answered as if they had come one by one, by tasks for which nobody waits.
func TestBatches(t *testing.T) {
	t.Parallel()
	for endpoint, bodies := range map[string][2]string{
		"/v1/chat/completions": {`{"model":"m","messages":[{"role":"user","content":"hi"}]}`, `{"model":"m","messages":[]}`},
		"/v1/completions":      {`{"model":"m","prompt":"hi"}`, `{"model":"m","prompt":{}}`},
		"/v1/responses":        {`{"model":"m","input":"hi"}`, `{"model":"m","input":7}`},
		"/v1/embeddings":       {`{"model":"vec","input":"x"}`, `{"model":"vec","input":[[[]]]}`},
	} {
		one, secret := made("one", bus.KeyRequest{})
		o, _ := newOracle(t, answers)
		g, _ := batching(t, o, t.TempDir(), one)
		begun := begins(t, g, secret, endpoint, asks("well", endpoint, bodies[0])+asks("wrong", endpoint, bodies[1]))
		b := becomes(t, g, secret, begun["id"].(string), "completed")
		if d := cmp.Diff(map[string]any{"total": 2.0, "completed": 1.0, "failed": 1.0}, b["request_counts"]); d != "" {
			t.Errorf("%s: %s", endpoint, d)
		}
		if d := cmp.Diff(map[string]any{"a": "b"}, b["metadata"]); d != "" || b["completion_window"] != "24h" || b["errors"] != nil || b["completed_at"] == nil || b["failed_at"] != nil {
			t.Errorf("%s: %v %s", endpoint, b, d)
		}
		want := "Paris."
		if endpoint == "/v1/embeddings" {
			want = "embedding"
		}
		if out := came(t, g, secret, b["output_file_id"]); len(out) != 1 || !strings.HasPrefix(out["well"], "200 {") || !strings.Contains(out["well"], want) {
			t.Errorf("%s answers %v", endpoint, out)
		}
		if out := came(t, g, secret, b["error_file_id"]); len(out) != 1 || !strings.HasPrefix(out["wrong"], "400 {") {
			t.Errorf("%s refuses %v", endpoint, out)
		}
		if task := o.tasks[0]; len(o.tasks) != 1 || task.Lane != bus.Batch || !task.Part || task.User != "key-one" {
			t.Errorf("%s: tasks %+v", endpoint, o.tasks)
		}
	}
}

// Responses of a batch are not stored: thousands of them would push out those that somebody goes on from.
func TestBatchesStoreNoResponses(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir())
	b := begins(t, g, key, "/v1/responses", asks("a", "/v1/responses", `{"model":"m","input":"hi"}`))
	b = becomes(t, g, key, b["id"].(string), "completed")
	var answer struct {
		ID    string
		Store bool
	}
	said := strings.TrimPrefix(came(t, g, key, b["output_file_id"])["a"], "200 ")
	if err := json.Unmarshal([]byte(said), &answer); err != nil || answer.ID == "" || answer.Store {
		t.Errorf("%s, %v", said, err)
	}
	if w := call(t, g, "GET", "/v1/responses/"+answer.ID, ""); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Nobody sees or changes the files and batches of another.
func TestBatchesAreTheirOwners(t *testing.T) {
	t.Parallel()
	one, secret := made("one", bus.KeyRequest{})
	two, others := made("two", bus.KeyRequest{Admin: true})
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir(), one, two)
	b := begins(t, g, secret, "/v1/completions", asks("a", "/v1/completions", `{"model":"m","prompt":"hi"}`))
	b = becomes(t, g, secret, b["id"].(string), "completed")
	for _, who := range []string{others, key} {
		for _, call := range []string{"GET /v1/files/FILE", "GET /v1/files/FILE/content", "GET /v1/files/OUT/content", "DELETE /v1/files/OUT", "GET /v1/batches/BATCH", "POST /v1/batches/BATCH/cancel"} {
			call = strings.NewReplacer("FILE", b["input_file_id"].(string), "OUT", b["output_file_id"].(string), "BATCH", b["id"].(string)).Replace(call)
			method, target, _ := strings.Cut(call, " ")
			if w := from(t, g, afar, method, target, "", "Authorization", "Bearer "+who); w.Code != http.StatusNotFound {
				t.Errorf("%s by another: %d %s", call, w.Code, w.Body)
			}
		}
		for _, target := range []string{"/v1/files", "/v1/batches"} {
			if list := object(t, from(t, g, afar, "GET", target, "", "Authorization", "Bearer "+who)); len(list["data"].([]any)) != 0 {
				t.Errorf("%s of another: %v", target, list)
			}
		}
		w := from(t, g, afar, "POST", "/v1/batches", fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/completions","completion_window":"24h"}`, b["input_file_id"]), "Authorization", "Bearer "+who)
		if w.Code != http.StatusNotFound {
			t.Errorf("a batch of another's file: %d %s", w.Code, w.Body)
		}
	}
	if w := from(t, g, afar, "DELETE", "/v1/files/"+b["output_file_id"].(string), "", "Authorization", "Bearer "+secret); w.Code != 200 {
		t.Errorf("deleted by its owner: %d %s", w.Code, w.Body)
	}
}

// A batch does no more than the key that has begun it: it keeps to its limits, and ends with it.
func TestBatchesKeepToTheirKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, secret := made("one", bus.KeyRequest{Concurrent: 3})
		var mu sync.Mutex
		now, most := 0, 0
		hold, held := make(chan struct{}), make(chan struct{}, 99)
		o, _ := newOracle(t, func(task bus.Task, out func(bus.Chunk) error) (any, error) {
			if !task.Part {
				return answers(task, out)
			}
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			held <- struct{}{}
			<-hold
			mu.Lock()
			now--
			mu.Unlock()
			return answers(task, out)
		})
		dir := t.TempDir()
		g, stop := batching(t, o, dir, one)
		var content strings.Builder
		for i := range 20 {
			content.WriteString(asks(fmt.Sprint(i), "/v1/completions", `{"model":"m","prompt":"hi"}`))
		}
		b := begins(t, g, secret, "/v1/completions", content.String())
		<-held
		<-held
		time.Sleep(time.Second) // in which a third would come
		for range 3 {           // for who waits for an answer there is one more
			if w := from(t, g, afar, "POST", "/v1/completions", `{"model":"m","prompt":"hi"}`, "Authorization", "Bearer "+secret); w.Code != 200 {
				t.Errorf("beside the batch: %d %s", w.Code, w.Body)
			}
		}
		close(hold)
		becomes(t, g, secret, b["id"].(string), "completed")
		if most != 2 {
			t.Errorf("%d requests at a time, and the key may have 3", most)
		}
		stop()

		// It was begun with a key that is revoked by the time that it would go on.
		b = begins(t, g, secret, "/v1/completions", content.String())
		asked := len(o.tasks)
		two, others := made("two", bus.KeyRequest{})
		g, stop = batching(t, o, dir, two)
		if w := from(t, g, afar, "GET", "/v1/batches/"+b["id"].(string), "", "Authorization", "Bearer "+others); w.Code != http.StatusNotFound {
			t.Errorf("another sees it: %d", w.Code)
		}
		for limit := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			record, err := os.ReadFile(filepath.Join(dir, b["id"].(string)+".json"))
			if err == nil && bytes.Contains(record, []byte(`"status":"failed"`)) {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("after a minute it is %s, %v", record, err)
			}
		}
		g.SetKeys([]gateway.Key{one}) // who comes back, sees what became of it
		b = becomes(t, g, secret, b["id"].(string), "failed")
		if faults, _ := json.Marshal(b["errors"]); !strings.Contains(string(faults), "was revoked") || len(o.tasks) != asked {
			t.Errorf("%d were asked, %s", len(o.tasks)-asked, faults)
		}
		stop()
	})
}

// A request that makes the node fail ends, and the batch goes on.
func TestBatchesOutlastAPanic(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		if strings.Contains(string(task.Payload), "panic") {
			panic("as asked")
		}
		return answers(task, out)
	})
	g, _ := batching(t, o, t.TempDir())
	b := begins(t, g, key, "/v1/completions", asks("a", "/v1/completions", `{"model":"m","prompt":"panic"}`)+asks("b", "/v1/completions", `{"model":"m","prompt":"hi"}`))
	b = becomes(t, g, key, b["id"].(string), "completed")
	if out, failed := came(t, g, key, b["output_file_id"]), came(t, g, key, b["error_file_id"]); len(out) != 1 || !strings.HasPrefix(failed["a"], "500 {") {
		t.Errorf("%v, %v", out, failed)
	}
}

// Where the folder cannot be made the rest of the node is of use.
func TestNoBatches(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, filepath.Join(file, "batches"))
	if w := call(t, g, "GET", "/v1/batches", ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no files and batches") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantStatus(t, "a question", call(t, g, "POST", "/v1/completions", `{"model":"m","prompt":"hi"}`), http.StatusOK)
}

// What the owner has sent is named to nobody who has no key, be it a program of this machine.
func TestListsWantAKey(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir())
	for _, target := range []string{"/v1/files", "/v1/batches"} {
		for header, status := range map[string]int{"": 403, "Bearer any": 403, "Bearer " + key: 200} {
			wantStatus(t, target+" with "+header, local(t, g, "GET", target, "", "Authorization", header), status)
		}
	}
}

// A batch that waits for the limits of its key keeps no other from being answered.
func TestBatchesWaitForTheirKeyAlone(t *testing.T) {
	t.Parallel()
	one, secret := made("one", bus.KeyRequest{Concurrent: 1})
	hold := make(chan struct{})
	o, _ := newOracle(t, func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		if task.User == one.User() {
			<-hold
		}
		return answers(task, out)
	})
	g, stop := batching(t, o, t.TempDir(), one)
	defer stop()
	defer close(hold)
	var content strings.Builder
	for i := range 100 {
		content.WriteString(asks(fmt.Sprint(i), "/v1/completions", `{"model":"m","prompt":"hi"}`))
	}
	first := begins(t, g, secret, "/v1/completions", content.String())
	becomes(t, g, secret, first["id"].(string), "in_progress")
	second := begins(t, g, key, "/v1/completions", content.String())
	becomes(t, g, key, second["id"].(string), "completed")
	// And its client may cancel it, at the limit.
	if w := from(t, g, afar, "POST", fmt.Sprintf("/v1/batches/%v/cancel", first["id"]), "", "Authorization", "Bearer "+secret); w.Code != 200 {
		t.Errorf("cancelled: %d %s", w.Code, w.Body)
	}
}

// What the limits of a key put off until after the end of a batch is told as expired.
func TestBatchesExpireWithinTheirLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perMinute, day = 2, 24 * 60
		one, secret := made("one", bus.KeyRequest{PerMinute: perMinute})
		o, _ := newOracle(t, answers)
		g, stop := batching(t, o, t.TempDir(), one)
		defer stop()
		var content strings.Builder
		for i := range perMinute*day + 10 {
			content.WriteString(asks(fmt.Sprint(i), "/v1/completions", `{"model":"m","prompt":"hi"}`))
		}
		b := begins(t, g, secret, "/v1/completions", content.String())
		time.Sleep(batch.Window + time.Minute)
		b = becomes(t, g, secret, b["id"].(string), "expired")
		w := from(t, g, afar, "GET", fmt.Sprintf("/v1/files/%v/content", b["error_file_id"]), "", "Authorization", "Bearer "+secret)
		late := lines(t, w)
		for _, l := range late {
			if failure, _ := l["error"].(map[string]any); failure["code"] != "batch_expired" {
				t.Fatalf("%v", l)
			}
		}
		if len(late) < 10 || len(late) > 20 {
			t.Errorf("%d are too late", len(late))
		}
	})
}

// What a key has under way when it is revoked is nothing more to its batch.
func TestBatchesEndWithTheirKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, secret := made("one", bus.KeyRequest{})
		hold := make(chan struct{})
		o, _ := newOracle(t, func(task bus.Task, out func(bus.Chunk) error) (any, error) {
			<-hold
			return answers(task, out)
		})
		g, stop := batching(t, o, t.TempDir(), one)
		defer stop()
		b := begins(t, g, secret, "/v1/completions", asks("a", "/v1/completions", `{"model":"m","prompt":"hi"}`))
		synctest.Wait() // it is asked
		g.SetKeys(nil)
		synctest.Wait()
		g.SetKeys([]gateway.Key{one})
		close(hold)
		b = becomes(t, g, secret, b["id"].(string), "failed")
		if b["output_file_id"] != nil {
			t.Errorf("%v", b)
		}
	})
}

func TestBatchesRefused(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir())
	file := object(t, sent(t, g, key, "file", "{}", "purpose", "batch"))["id"].(string)
	for body, says := range map[string]string{
		`{"endpoint":"/v1/completions","completion_window":"24h"}`:                                                                                   "input_file_id is required",
		`{"input_file_id":"none","endpoint":"/v1/completions","completion_window":"24h"}`:                                                            "there is no file",
		`{"input_file_id":"FILE","endpoint":"/v1/images","completion_window":"24h"}`:                                                                 "endpoint",
		`{"input_file_id":"FILE","endpoint":"/v1/completions","completion_window":"1h"}`:                                                             "want 24h",
		`{"input_file_id":"FILE","endpoint":"/v1/completions","completion_window":"24h","metadata":{"x":7}}`:                                         "metadata",
		`{"input_file_id":"FILE","endpoint":"/v1/completions","completion_window":"24h","metadata":{"x":"` + strings.Repeat("y", 513) + `"}}`:        "metadata",
		`{"input_file_id":"FILE","endpoint":"/v1/completions","completion_window":"24h","output_expires_after":{"anchor":"created_at","seconds":1}}`: "output_expires_after",
	} {
		w := call(t, g, "POST", "/v1/batches", strings.ReplaceAll(body, "FILE", file))
		if w.Code != 400 && w.Code != 404 || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%.200s: %d %s", body, w.Code, w.Body)
		}
	}
	b := object(t, call(t, g, "POST", "/v1/batches", fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/completions","completion_window":"24h"}`, file)))
	b = becomes(t, g, key, b["id"].(string), "failed")
	faults, _ := json.Marshal(b["errors"])
	if want := `{"data":[{"code":"missing_required_parameter","line":1,"message":"custom_id is missing","param":null}],"object":"list"}`; string(faults) != want {
		t.Errorf("a file of no requests: %s", faults)
	}
}

// Lists come in pages, newest first.
func TestBatchesInPages(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir())
	var made []string
	for range 5 {
		made = append([]string{begins(t, g, key, "/v1/completions", asks("a", "/v1/completions", `{"model":"m","prompt":"hi"}`))["id"].(string)}, made...)
	}
	var got []string
	for after, more := "", true; more; {
		page := object(t, call(t, g, "GET", "/v1/batches?limit=2&after="+after, ""))
		for _, b := range page["data"].([]any) {
			got = append(got, b.(map[string]any)["id"].(string))
		}
		more = page["has_more"].(bool)
		if after = page["last_id"].(string); after != got[len(got)-1] {
			t.Errorf("last_id is %s of %v", after, got)
		}
	}
	if d := cmp.Diff(made, got); d != "" {
		t.Error(d)
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "order=up", "after=none"} {
		if w := call(t, g, "GET", "/v1/batches?"+query, ""); w.Code != 400 {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

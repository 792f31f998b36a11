package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The log tells once that the default model is missing, not of a moment, and once that it is there again.
func TestDefaultModelIsWatched(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := defaultModelWatch{log: slog.New(slog.NewTextHandler(&out, nil))}
	now := time.Unix(0, 0)
	has := []bus.NodeInfo{{State: bus.NodeReady, Models: []bus.ModelInfo{{Name: "m:latest"}}}}
	lost := []bus.NodeInfo{{State: bus.NodeLost, Models: has[0].Models}, {State: bus.NodeReady, Types: []string{bus.TypePull}}}
	look := func(nodes []bus.NodeInfo, after time.Duration, want string) {
		t.Helper()
		out.Reset()
		now = now.Add(after)
		w.look(missingModel(nodes, "m"), now)
		if got := out.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("after %v the log says %q, want %q", now.Sub(time.Unix(0, 0)), got, want)
		}
	}
	look(lost, 0, "")
	look(has, defaultModelPatience, "") // it was only slow to come
	look(lost, time.Second, "")
	look(lost, defaultModelPatience-1, "")
	look(lost, 1, `model=m try="myco pull m"`)
	look(lost, time.Hour, "")
	look(has, time.Second, "again")
	look(has, time.Second, "")
	look(nil, time.Second, "")
	look(nil, defaultModelPatience, `try="ollama pull m"`)
}

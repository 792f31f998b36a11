package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/doctor"
)

// diagnosis is what the stand-in daemon of these tests finds.
func diagnosis(dir string) bus.Diagnosis {
	return bus.Diagnosis{
		NodeID: self, Name: "laptop", Version: "v1", DataDir: dir, UptimeMS: 60_000,
		Swarm: bus.SwarmInfo{ID: "s1", Name: "home", QueueHost: other, Term: 3},
		Peers: []bus.PeerDiagnosis{{NodeID: other, Name: "tower", State: bus.NodeReady, Routed: true, Version: "v1"}},
		MDNS:  bus.MDNSDiagnosis{On: true, Echo: true, Others: 1}, Store: bus.StoreDiagnosis{Linked: true},
		Engines: []bus.EngineDiagnosis{{URL: "http://127.0.0.1:1", Kind: "ollama", Models: []string{"m"}}},
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	d := setup(t)
	must(t, os.Chmod(d.dir, 0o700)) //nolint:gosec // a directory is entered
	found := diagnosis(d.dir)
	told := make(chan bus.Diagnosis, 1) // what the next run is answered
	on(d, payload(bus.VerbDoctor), func(struct{}) any { return <-told })
	run := func(args ...string) outcome {
		found.Peers = []bus.PeerDiagnosis{found.Peers[0]} // the last answer has its own
		told <- found
		return d.myco(append([]string{"doctor"}, args...)...)
	}
	// The disk of the machine that runs this test may be nearly full.
	want := map[doctor.Status]int{doctor.OK: 0, doctor.Warn: 0, doctor.Fail: 1}
	base := doctor.Examine(doctor.Facts{Start: "mycod", Dir: doctor.Dir(d.dir), Daemon: &found}).Worst()

	o := run().want(t, want[base])
	if !strings.Contains(o.out, "ok    daemon") || !strings.Contains(o.out, "tower") {
		t.Errorf("%s", o.out)
	}
	var r doctor.Report
	must(t, json.Unmarshal([]byte(run("--json").want(t, want[base]).out), &r))
	if r.OK != (base != doctor.Fail) || len(r.Checks) < 8 || r.Checks[0].Name != "daemon" || r.Checks[0].Status != doctor.OK {
		t.Errorf("%+v", r)
	}

	found.Peers = []bus.PeerDiagnosis{found.Peers[0]}
	found.Peers[0].Version = "v2"
	o = run().want(t, want[base])
	if !strings.Contains(o.out, "warn  versions") || !strings.Contains(o.out, "try: install one version") {
		t.Errorf("%s", o.out)
	}
	run("--strict").want(t, 1)

	found.Store.Linked = false
	o = run().want(t, 1, "Something is wrong")
	if !strings.Contains(o.out, "FAIL  store") {
		t.Errorf("%s", o.out)
	}
	must(t, json.Unmarshal([]byte(run("--json").want(t, 1).out), &r))
	if r.OK {
		t.Errorf("%+v: want it not to be ok", r)
	}
}

// A daemon that left its file behind, and one that never was.
func TestDoctorWithoutDaemon(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for _, c := range []struct {
		info, says string
	}{
		{`{"node_id":"myco-0123456789ab","bus_url":"nats://127.0.0.1:9"}`, "did not stop in good order"},
		{"", " running"},
	} {
		path := filepath.Join(d.dir, bus.DaemonFile)
		must(t, os.Remove(path))
		if c.info != "" {
			must(t, os.WriteFile(path, []byte(c.info), 0o600))
		}
		o := d.myco("doctor", "--json").want(t, 1)
		var r doctor.Report
		must(t, json.Unmarshal([]byte(o.out), &r))
		if r.OK || r.Checks[0].Status != doctor.Fail || !strings.Contains(r.Checks[0].Detail, c.says) || !strings.HasSuffix(r.Checks[0].Hint, "mycod --data-dir "+d.dir) {
			t.Errorf("%+v, want %q", r.Checks[0], c.says)
		}
	}
}

func TestDaemonOfAnotherUserIsNoticed(t *testing.T) {
	t.Parallel()
	for gateway, want := range map[string]bool{"true": true, "": false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if gateway != "" {
				w.Header().Set(bus.HeaderGateway, gateway)
			}
		}))
		t.Cleanup(srv.Close)
		if got := isNode(t.Context(), srv.Listener.Addr().String()); got != want {
			t.Errorf("header %q: a node %t, want %t", gateway, got, want)
		}
	}
	if isNode(t.Context(), "127.0.0.1:9") {
		t.Error("where nothing listens there is a node")
	}
}

package discovery_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// record is a valid one, of full length.
func record() discovery.Record {
	fp := fingerprint("a")
	return discovery.Record{
		NodeID: bus.NodeID("myco-" + fp[:12]), Fingerprint: fp, SwarmID: "0123456789ab",
		Version: "v1.22.333-rc.4+0123456789abcdef0", JoinPort: 65535,
	}
}

func TestTXTIsSmall(t *testing.T) {
	t.Parallel()
	txt := record().TXT()
	if txt[0] != "txtvers=1" {
		t.Errorf("the first string is %q", txt[0])
	}
	size := 0
	for _, s := range txt {
		size += len(s) + 1
		key, _, _ := strings.Cut(s, "=")
		if len(key) > 9 {
			t.Errorf("key %q is over 9 characters", key)
		}
	}
	if size >= 200 {
		t.Errorf("TXT record of %d bytes, want less than 200", size)
	}
	got, err := discovery.ParseTXT(txt)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record(), got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestParseTXT(t *testing.T) {
	t.Parallel()
	fp := record().Fingerprint
	for _, c := range []struct {
		name   string
		change func(txt []string) []string
		err    string // part of it; empty: none
	}{
		{"as written", func(s []string) []string { return s }, ""},
		{"unknown keys", func(s []string) []string { return append(s, "x=1", "flag", "=odd", "") }, ""},
		{"a key twice: the first counts", func(s []string) []string { return append(s, "ver=9", "id=myco-000000000000") }, ""},
		{"keys in capitals", func(s []string) []string { s[0] = "TXTVERS=1"; return s }, ""},
		{"another order", func(s []string) []string { s[0], s[1] = s[1], s[0]; return s }, ""},
		{"none", func([]string) []string { return nil }, "version"},
		{"later version", func(s []string) []string { s[0] = "txtvers=2"; return s }, "version"},
		{"no fingerprint", func(s []string) []string { s[3] = "fp="; return s }, "fingerprint"},
		{"fingerprint in capitals", func(s []string) []string { s[3] = "fp=" + strings.ToUpper(fp); return s }, "fingerprint"},
		{"another's id", func(s []string) []string { s[1] = "id=myco-000000000000"; return s }, "not that of"},
		{"no id", func(s []string) []string { s[1] = "id"; return s }, "not that of"},
		{"swarm id too long", func(s []string) []string { s[4] += "0"; return s }, "swarm id"},
		{"strange swarm id", func(s []string) []string { s[4] = "swarm=../../etc"; return s }, "swarm id"},
		{"strange version", func(s []string) []string { s[2] = "ver=\x1b[2J"; return s }, "version"},
		{"long version", func(s []string) []string { s[2] += "x"; return s }, "version"},
		{"join port 0", func(s []string) []string { s[5] = "join=0"; return s }, "join port"},
		{"join port too high", func(s []string) []string { s[5] = "join=65536"; return s }, "join port"},
		{"join port negative", func(s []string) []string { s[5] = "join=-1"; return s }, "join port"},
		{"too many strings", func(s []string) []string { return append(s, make([]string, 32)...) }, "strings"},
		{"too long", func(s []string) []string { return append(s, strings.Repeat("x", 1024)) }, "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := discovery.ParseTXT(c.change(record().TXT()))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				if got != (discovery.Record{}) {
					t.Errorf("a record beside the error: %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(record(), got); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseTXT(f *testing.F) {
	f.Add(strings.Join(record().TXT(), "\n"))
	f.Add("txtvers=1\nid=\nfp=\nver=\nswarm=\njoin=1")
	f.Add("txtvers=1\n=\n\x00\xff=\njoin=00001\nJOIN=2")
	f.Fuzz(func(t *testing.T, joined string) {
		r, err := discovery.ParseTXT(strings.Split(joined, "\n"))
		if err != nil {
			if r != (discovery.Record{}) {
				t.Errorf("a record beside the error: %+v", r)
			}
			return
		}
		if err := r.NodeID.Validate(); err != nil {
			t.Error(err)
		}
		again, err := discovery.ParseTXT(r.TXT())
		if err != nil || again != r {
			t.Errorf("%+v does not survive its own strings: %+v, %v", r, again, err)
		}
	})
}

func TestNewRefusesWhatItCannotAnnounce(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*discovery.Config){
		"no id":             func(c *discovery.Config) { c.NodeID = "" },
		"no fingerprint":    func(c *discovery.Config) { c.Fingerprint = "" },
		"another's id":      func(c *discovery.Config) { c.NodeID = "myco-000000000000" },
		"no port":           func(c *discovery.Config) { c.FabricPort = 0 },
		"port too high":     func(c *discovery.Config) { c.FabricPort = 65536 },
		"join port too low": func(c *discovery.Config) { c.JoinPort = -1 },
		"long version":      func(c *discovery.Config) { c.Version = strings.Repeat("1", 33) },
		"strange swarm":     func(c *discovery.Config) { c.SwarmID = "home" },
	} {
		cfg := config(t, "a")
		change(&cfg)
		if _, err := discovery.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

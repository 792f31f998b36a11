package doctor_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/doctor"
)

// A certificate that ends, and what else keeps HTTPS from being what its owner takes it for, is said with what to do.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*bus.HTTPSDiagnosis)
		status doctor.Status
		says   []string
	}{
		"good":                   {func(*bus.HTTPSDiagnosis) {}, doctor.OK, []string{"for box.example is good until 2031-02-01 00:00 UTC"}},
		"ends":                   {func(h *bus.HTTPSDiagnosis) { h.State = bus.CertificateEnds }, doctor.Warn, []string{"ends soon, 2031-02-01", "renew its files"}},
		"over":                   {func(h *bus.HTTPSDiagnosis) { h.State = bus.CertificateOver }, doctor.Fail, []string{"has ended, 2031-02-01", "renew its files"}},
		"not begun":              {func(h *bus.HTTPSDiagnosis) { h.State = bus.CertificateEarly }, doctor.Fail, []string{"good from 2031-01-01", "the clock"}},
		"unreadable":             {func(h *bus.HTTPSDiagnosis) { h.Error = "box.crt is gone" }, doctor.Warn, []string{"cannot be read again", "box.crt is gone", "mend the files"}},
		"open key":               {func(h *bus.HTTPSDiagnosis) { h.OpenKey = "/etc/my key" }, doctor.Warn, []string{"every user of this machine can read /etc/my key", "chmod o= " + bus.ShellWord("/etc/my key")}},
		"key that others change": {func(h *bus.HTTPSDiagnosis) { h.OpenKey, h.OpenKeyFor = "box.key", "change" }, doctor.Warn, []string{"every user of this machine can change box.key", "end HTTPS", "chmod o= "}},
	} {
		f := well()
		f.Daemon.HTTPS = &bus.HTTPSDiagnosis{
			Names: []string{"box.example"}, State: bus.CertificateGood,
			From: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2031, 2, 1, 0, 0, 0, 0, time.UTC),
		}
		tt.change(f.Daemon.HTTPS)
		checks := doctor.Examine(f).Checks
		if !slices.ContainsFunc(checks, func(c doctor.Check) bool {
			text := c.Detail + " " + c.Hint
			return c.Name == "https" && c.Status == tt.status && !slices.ContainsFunc(tt.says, func(s string) bool { return !strings.Contains(text, s) })
		}) {
			t.Errorf("%s: %+v, want %s, %q", name, checks, tt.status, tt.says)
		}
	}
}

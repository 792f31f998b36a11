package doctor

import (
	"cmp"
	"fmt"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// https judges the certificate with which HTTPS answers.
func https(d bus.Diagnosis) (out []Check) {
	h := d.HTTPS
	if h == nil {
		return nil
	}
	const renew = "renew its files, which mycod reads again by itself: docs/install.md"
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	c := Check{"https", OK, "the certificate for " + some(h.Names) + " is good until " + at(h.Until), ""}
	switch h.State {
	case bus.CertificateEnds:
		c.Status, c.Detail, c.Hint = Warn, "the certificate for "+some(h.Names)+" ends soon, "+at(h.Until)+", and browsers and programs refuse it then", renew
	case bus.CertificateOver:
		c.Status, c.Detail, c.Hint = Fail, "the certificate for "+some(h.Names)+" has ended, "+at(h.Until)+": browsers and programs refuse it", renew
	case bus.CertificateEarly:
		c.Status, c.Detail = Fail, "the certificate for "+some(h.Names)+" is good from "+at(h.From)+" only: browsers and programs refuse it"
		c.Hint = "look at the clock of this machine, or take another certificate"
	}
	out = append(out, c)
	if h.Error != "" {
		out = append(out, Check{"https", Warn, "the files of the certificate cannot be read again, and what was read before stays: " + h.Error, "mend the files: mycod reads them again within a minute"})
	}
	if h.OpenKey != "" {
		risk := "who has it can pass for this node"
		if h.OpenKeyFor == "change" {
			risk = "who does can end HTTPS here"
		}
		out = append(out, Check{
			"https", Warn, fmt.Sprintf("every user of this machine can %s %s, the key of the certificate: %s", cmp.Or(h.OpenKeyFor, "read"), h.OpenKey, risk),
			"chmod o= " + bus.ShellWord(h.OpenKey),
		})
	}
	return out
}

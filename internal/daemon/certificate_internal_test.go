package daemon

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// said is what is logged, while it is.
type said struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// logged is a certificate of new files, which last so long, with what it logs.
func logged(t *testing.T, lasts time.Duration) (c *certificate, log *said) {
	t.Helper()
	dir := t.TempDir()
	log = &said{}
	c = &certificate{files: [2]string{filepath.Join(dir, "box.crt"), filepath.Join(dir, "box.key")}, log: slog.New(slog.NewTextHandler(log, nil))}
	NewCertificate(t, c.files[0], c.files[1], time.Now().Add(lasts), "box.example")
	if err := c.read(); err != nil {
		t.Fatal(err)
	}
	return c, log
}

// The owner is told that a certificate ends, and that it has ended, each once, though nobody starts anything anew.
func TestCertificateThatEndsIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, log := logged(t, time.Hour)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.run(ctx) }()
		for _, step := range []struct {
			sleep      time.Duration
			soon, over int
		}{{40 * time.Minute, 0, 0}, {10 * time.Minute, 1, 0}, {8 * time.Minute, 1, 0}, {3 * time.Minute, 1, 1}, {time.Hour, 1, 1}} {
			time.Sleep(step.sleep)
			synctest.Wait()
			if soon, over := strings.Count(log.String(), "ends soon"), strings.Count(log.String(), "not good today"); soon != step.soon || over != step.over {
				t.Errorf("at %v it is told %d times that it ends, want %d, and %d that it has, want %d", time.Now(), soon, step.soon, over, step.over)
			}
		}
		if d := c.diagnose(time.Now()); d.State != bus.CertificateOver || d.Error != "" {
			t.Errorf("myco doctor is told %+v", d)
		}
		NewCertificate(t, c.files[0], c.files[1], time.Now().Add(time.Hour))
		if err := os.Remove(c.files[1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := c.diagnose(time.Now()); !strings.Contains(d.Error, c.files[1]) {
			t.Errorf("of files that cannot be read myco doctor is told %+v", d)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestCertificateStands(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		lasts, age time.Duration
		want       bus.CertificateState
	}{
		"new": {90 * day, 0, bus.CertificateGood}, "a week and more are left": {90 * day, 82 * day, bus.CertificateGood}, "less": {90 * day, 84 * day, bus.CertificateEnds},
		"over": {90 * day, 91 * day, bus.CertificateOver}, "not yet": {90 * day, -day, bus.CertificateEarly},
		"of six days, new": {6 * day, day, bus.CertificateGood}, "of six days, old": {6 * day, 5 * day, bus.CertificateEnds},
	} {
		from := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		if got := standing(&x509.Certificate{NotBefore: from, NotAfter: from.Add(c.lasts)}, from.Add(c.age)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A key that every user of the machine can read is told, once, at the start and to who asks what is wrong.
func TestOpenKeyOfTheCertificateIsTold(t *testing.T) {
	t.Parallel()
	c, log := logged(t, time.Hour)
	for _, step := range []struct {
		mode os.FileMode
		open string
		told int // in all, in these words
	}{{0o600, "", 0}, {0o640, "", 0}, {0o601, "", 0}, {0o644, "read", 1}, {0o645, "read", 1}, {0o600, "", 0}, {0o604, "read", 2}, {0o602, "change", 1}, {0o666, "read and change", 1}} {
		err := errors.Join(os.Chmod(c.files[1], step.mode), c.read())
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "windows" { // which has no such modes
			step.open, step.told = "", 0
		}
		if n, d := strings.Count(log.String(), "every user of this machine can "+step.open+" the key"), c.diagnose(time.Now()); n != step.told || d.OpenKeyFor != step.open || (d.OpenKey == c.files[1]) != (step.open != "") {
			t.Errorf("with mode %o it is told %d times, want %d, and myco doctor %+v", step.mode, n, step.told, d)
		}
	}
}

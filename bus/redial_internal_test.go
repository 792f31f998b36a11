package bus

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Where the credentials stay refused a client tries every two or three seconds in the end. It tries at once where it
// finds that the daemon has started anew, or other credentials, and every time where something else is wrong.
func TestRefusal(t *testing.T) {
	t.Parallel()
	d := &dialer{dir: t.TempDir()}
	d.creds = filepath.Join(d.dir, UserCreds)
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var r refusal
	now := time.Unix(0, 0)
	tries := func(during time.Duration, err error) (n int) {
		for end := now.Add(during); now.Before(end); now = now.Add(reconnectWait) {
			if found := d.found(); r.over(found, now) {
				n++
				r.note(err, found, now)
			}
		}
		return n
	}
	refused := Errorf(CodeForbidden, "the daemon refuses the credentials")
	if n := tries(time.Minute, refused); n < 60/3+4 || n > 60/2+6 {
		t.Errorf("%d tries in a minute", n)
	}
	for _, path := range []string{filepath.Join(d.dir, DaemonFile), d.creds} {
		if n := tries(time.Second, refused); n > 1 {
			t.Errorf("%d tries in a second after many refusals", n)
		}
		write(path, "new")
		if n := tries(reconnectWait, refused); n != 1 {
			t.Errorf("%d tries once there is another %s, want 1", n, filepath.Base(path))
		}
		tries(time.Minute, refused)
	}
	write(d.creds, "right")
	if n := tries(time.Second, errors.New("nothing listens there")); n != int(time.Second/reconnectWait) {
		t.Errorf("%d tries in a second to find a daemon that is not there", n)
	}
}

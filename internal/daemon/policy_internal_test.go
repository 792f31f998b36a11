package daemon

import (
	"errors"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// A policy that cannot be read ends the start, and names its flag.
func TestPolicyIsChecked(t *testing.T) {
	t.Parallel()
	for flag, cfg := range map[string]config.Config{
		"--closed":     {DataDir: t.TempDir(), Closed: []string{"9 to 5"}},
		"--on-battery": {DataDir: t.TempDir(), OnBattery: "perhaps"},
	} {
		_, err := New(cfg, Options{})
		var e *bus.Error
		if !errors.As(err, &e) || e.Code != bus.CodeInvalid || !strings.HasPrefix(e.Message, flag) || !strings.Contains(e.Hint, flag) {
			t.Errorf("%s: %v, want an invalid argument with a hint", flag, err)
		}
	}
	if _, err := New(config.Config{DataDir: t.TempDir(), Closed: []string{"mon-fri 09:00-17:00"}, OnBattery: "never"}, Options{}); err != nil {
		t.Error(err)
	}
}

package config_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	c := config.Config{}.WithDefaults()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Slots != 2 || c.DrainLimit != 10*time.Second || c.DataDir == "" || c.Version == "" {
		t.Errorf("%+v, want the defaults", c)
	}
	if c.BusListen+c.FabricListen+c.JoinListen+c.HTTPListen != "" {
		t.Error("a default address is as one that was asked for: it would not give way")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]config.Config{
		"--bus-listen":     {BusListen: ":4222"},
		"--fabric-listen":  {FabricListen: "127.0.0.1"},
		"--join-listen":    {JoinListen: "127.0.0.1:70000"},
		"--http-listen":    {HTTPListen: "127.0.0.1:http"},
		"--ollama-listen":  {OllamaListen: "11434"},
		"--https-listen":   {HTTPSListen: "7443", TLSCert: "box.crt"},
		"--tls-cert":       {HTTPSListen: "127.0.0.1:7443"},
		"go together":      {TLSCert: "box.crt", TLSKey: "box.key"},
		"--tls-key":        {TLSKey: "box.key"},
		"--http-host":      {HTTPHosts: []string{"box", "*.example.org"}},
		"--http-origin":    {HTTPOrigins: []string{"https://a.example", "*"}},
		"--peer":           {Peers: []string{"10.0.0.1:0"}},
		"--engine":         {Engines: []string{"://"}},
		"--slots":          {Slots: -1},
		"--token-limit":    {TokenLimit: -1},
		"--reattach-grace": {ReattachGrace: 2 * time.Hour},
		"version":          {Version: strings.Repeat("1", 40)},
		"drain":            {DrainLimit: -1},
	} {
		err := c.WithDefaults().Validate()
		if !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want CodeInvalid that names it", says, err)
		}
	}
	good := config.Config{
		BusListen: "127.0.0.1:0", FabricListen: "[::]:7422", Peers: []string{"box.local:7422"},
		OllamaListen: "127.0.0.1:11434", HTTPHosts: []string{"box.example.org", "fd00::7", "My_Box"},
		HTTPOrigins: []string{"https://chat.example.org", "app://obsidian.md", "chrome-extension://*"},
		Engines:     []string{"http://127.0.0.1:11434", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "box"},
	}
	if err := good.WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
}

// Windows has no groups of users as the flag means them: it is refused there rather than void.
func TestGroupAccessIsNotForWindows(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.GroupAccess = true
	if err := c.Validate(); (err != nil) != (runtime.GOOS == "windows") {
		t.Errorf("on %s: %v", runtime.GOOS, err)
	}
}

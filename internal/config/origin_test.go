package config_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/config"
)

func TestOrigins(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"https://chat.example.org": "", "http://127.0.0.1:3000": "", "http://[::1]:3000": "", "app://obsidian.md": "", "chrome-extension://abcdef": "",
		"chrome-extension://*": "", "http://localhost": "",
		"*": "any page", "file://*": "of files", "null": "any page", "http://*": "any page", "https://*": "any page",
		"https://a.example:443": "usual port", "http://a.example:80": "usual port",
		"": "want SCHEME", "a.example": "want SCHEME", "https://a.example/": "want SCHEME", "https://A.example": "want SCHEME", "https://*.example": "want SCHEME",
		"https://u@a.example": "want SCHEME", "https://a.example\r\nX: y": "want SCHEME", "app://a b": "want SCHEME",
	} {
		c := config.Default()
		c.HTTPOrigins = []string{s}
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
	}
}

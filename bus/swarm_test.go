package bus_test

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestNodeNamed(t *testing.T) {
	t.Parallel()
	all := []bus.NodeInfo{
		{ID: "myco-aaaaaaaaaaaa", Name: "a"},
		{ID: "myco-aabbbbbbbbbb", Name: "twin"},
		{ID: "myco-cccccccccccc", Name: "twin"},
		{ID: "myco-dddddddddddd", Name: "myco-aaaaaaaaaaaa"},
	}
	for want, test := range map[string]struct {
		id   bus.NodeID
		code bus.Code
	}{
		"a":                 {"myco-aaaaaaaaaaaa", ""},
		"myco-aaaaaaaaaaaa": {"myco-aaaaaaaaaaaa", ""},
		"aab":               {"myco-aabbbbbbbbbb", ""},
		"myco-cc":           {"myco-cccccccccccc", ""},
		"twin":              {"", bus.CodeInvalid},
		"myco-aa":           {"", bus.CodeInvalid},
		"nobody":            {"", bus.CodeNotFound},
	} {
		n, err := bus.NodeNamed(all, want)
		got := bus.Code("")
		if err != nil {
			got = bus.AsError(err).Code
		}
		if n.ID != test.id || got != test.code {
			t.Errorf("%q is %q, %v; want %q, %q", want, n.ID, err, test.id, test.code)
		}
	}
}

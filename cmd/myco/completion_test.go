package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// Every predictor that a field names is there: without, a shell would get nothing at all.
func TestPredictors(t *testing.T) {
	t.Parallel()
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": ""})
	must(t, err)
	s := streams{in: strings.NewReader("")}
	_, err = kongcompletion.Command(parser, kongcompletion.WithPredictors(predictors(t.Context(), s)))
	must(t, err)
}

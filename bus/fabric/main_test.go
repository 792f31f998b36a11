package fabric_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within is the test's context, with the general limit.
func within(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), fabrictest.Limit)
	tb.Cleanup(cancel)
	return ctx
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

package fabric_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	within = fabrictest.Within
	check  = fabrictest.Check
)

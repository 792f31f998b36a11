// Package windows tests the programs on Windows as their user runs them there: real mycod processes on loopback, which
// found, join, answer, are killed and are stopped by Ctrl-C.
//
//	go test -tags e2e ./e2e/windows      on Windows, with Go
//	.ci/run windows                      on Linux, under Wine
//
// The tests themselves are programs of Windows: under Wine they are given programs that were built before, in the folder
// that MYCO_E2E_BIN names.
package windows

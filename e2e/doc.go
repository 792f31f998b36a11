// Package e2e tests the programs as their user runs them: real mycod processes, on loopback
// and in network namespaces, killed without warning, with a real Ollama among the engines.
// What ran is counted by scripted engines outside the product, see e2e/engine.
//
//	go test -tags e2e ./e2e/...                     Linux, as root, with what .ci/run prepare installs
//	FIGURES=1 MYCO_FIGURES=1 go test -tags e2e ./e2e/...   measure into docs/figures
//
// Counts are asserted exactly; times at ten times what is promised.
package e2e

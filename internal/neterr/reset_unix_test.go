//go:build !windows

package neterr_test

// wsaReset is for Windows.
var wsaReset error

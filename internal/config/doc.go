// Package config holds what a daemon can be told: one plain struct with its defaults and its
// checks. It reads no flags and no files, and opens nothing.
package config

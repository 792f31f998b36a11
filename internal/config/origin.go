package config

import (
	"errors"
	"regexp"
	"strings"
)

var (
	oneOrigin  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?$`)
	allOrigins = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://\*$`)
)

// checkOrigin tells what is wrong with an origin that is to be trusted: SCHEME://HOST or SCHEME://HOST:PORT, as browsers write it, or
// SCHEME://* for all of a scheme that is none of the web.
func checkOrigin(s string) error {
	web := strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
	switch {
	case s == "*" || s == "null" || web && allOrigins.MatchString(s):
		return errors.New("that may be any page of the web")
	case strings.HasPrefix(s, "file://"):
		return errors.New("browsers do not tell of files whose they are")
	case web && oneOrigin.MatchString(s) && (strings.HasPrefix(s, "http:") && strings.HasSuffix(s, ":80") || strings.HasPrefix(s, "https:") && strings.HasSuffix(s, ":443")):
		return errors.New("browsers leave out the usual port")
	case !oneOrigin.MatchString(s) && (web || !allOrigins.MatchString(s)):
		return errors.New("want SCHEME://HOST or SCHEME://HOST:PORT, in small letters and without a path")
	}
	return nil
}

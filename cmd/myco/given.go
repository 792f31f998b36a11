package main

import "github.com/mycoswarm/mycoswarm/bus"

// given is the value of a flag; zero, which stands for the default, where there is none.
func given[T any](flag *T) (v T) {
	if flag != nil {
		v = *flag
	}
	return v
}

// outside is the error of a flag that was given a value below 1 or above most; nil where all is well.
func outside(flag string, value *int, most int) *bus.Error {
	if value == nil || *value >= 1 && *value <= most {
		return nil
	}
	return bus.Errorf(bus.CodeInvalid, "%s %d: want 1 to %d", flag, *value, most)
}

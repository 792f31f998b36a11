//go:build next

package bus

// A program of the next version, for tests of upgrades: built with the tag "next". It says more than
// others know, in every object that keeps such fields.
const wireVersion = 5

// withAdded returns the unknown fields to encode.
func withAdded(l Later) Later {
	if len(l) == 0 {
		return Later(`{"of_the_next_version":{"text":"a \"}\" in it","list":[1,2]}}`)
	}
	return l
}

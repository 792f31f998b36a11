//go:build next

package bus

// A program of the next version, for tests of upgrades: built with the tag "next". It says more than
// others know, in every object that keeps such fields.
const wireVersion = 3

// withAdded is what Encode appends.
func (l Later) withAdded() string {
	if l == "" {
		return `,"of_the_next_version":{"text":"a \"}\" in it","list":[1,2]}`
	}
	return string(l)
}

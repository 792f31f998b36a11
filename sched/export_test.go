package sched

// Without returns c with protections out of force.
func (c Config) Without(ps []Protection) Config {
	c.without = map[Protection]bool{}
	for _, p := range ps {
		c.without[p] = true
	}
	return c
}

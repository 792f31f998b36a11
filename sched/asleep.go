package sched

import "time"

// stamp notes that left is left of j's deadline at now.
func (n *Node) stamp(j *Job, left time.Duration, now time.Time) {
	j.LeftMS, j.Stamp = left.Milliseconds(), now
	if j.Task.Timeout != 0 {
		j.here, j.slept = true, n.cfg.Slept()
	}
}

// left is Job.left, without the time in which this machine was suspended since it has stamped j: the clock by which
// it counts stood still. What came from elsewhere, or from a disk, is counted by wall clocks.
func (n *Node) left(j *Job, now time.Time) (time.Duration, bool) {
	left, has := j.left(now)
	return left - n.sleptSince(j), has
}

func (n *Node) sleptSince(j *Job) time.Duration {
	if !j.here {
		return 0
	}
	return max(n.cfg.Slept()-j.slept, 0)
}

// expired reports whether the deadline of j has passed at now.
func (n *Node) expired(j *Job, now time.Time) bool {
	left, has := n.left(j, now)
	return has && left <= 0
}

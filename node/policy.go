package node

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// BatteryUse is what a machine that runs on its battery does for the swarm.
type BatteryUse string

// The values of --on-battery.
const (
	BatteryUsed  BatteryUse = "use"   // as if it were plugged in
	BatteryLast  BatteryUse = "last"  // what no other machine can do
	BatteryNever BatteryUse = "never" // nothing of others
)

// Policy is what an owner leaves of a machine to the swarm. The zero value leaves everything, apart
// from OnBattery, which is BatteryLast.
type Policy struct {
	// Closed are the hours in which the machine is its owner's alone.
	Closed []Hours
	// OnBattery is BatteryLast where it is empty.
	OnBattery BatteryUse
	// YieldGPU closes the machine while others use its GPU.
	YieldGPU bool
}

// Usage is how a machine is used at present, apart from the swarm's work.
type Usage struct {
	Power Power
	// CPUPercent is of all cores, 0 to 100, and GPUBusy tells of the GPU, by programs that are not
	// the swarm's.
	CPUPercent float64
	GPUBusy    bool
}

const (
	weightBattery = 100
	cpuQuiet      = 20.0 // percent: what every desktop uses
	weightCPU     = 50   // of a CPU that others use whole
	weightStep    = 10
)

// Judge returns what p leaves of a machine that is used as u says, at now, in now's time zone; nil
// where that is all of it.
func (p Policy) Judge(u Usage, now time.Time) *bus.OwnerUse {
	if until, closed := closedUntil(p.Closed, now); closed {
		return &bus.OwnerUse{Closed: true, Why: untilWords(until, now)}
	}
	battery := u.Power == PowerBattery
	if battery && p.OnBattery == BatteryNever {
		return &bus.OwnerUse{Closed: true, Why: "on battery"}
	}
	if u.GPUBusy && p.YieldGPU {
		return &bus.OwnerUse{Closed: true, Why: "the GPU is in use by others"}
	}
	var o bus.OwnerUse
	var why []string
	if battery && p.OnBattery != BatteryUsed {
		o.Weight += weightBattery
		why = append(why, "on battery")
	}
	if w := int(u.CPUPercent*weightCPU/100) / weightStep * weightStep; u.CPUPercent >= cpuQuiet && w > 0 {
		o.Weight += w
		why = append(why, "the CPU is in use by others")
	}
	if o.Weight == 0 {
		return nil
	}
	o.Weight, o.Why = min(o.Weight, 100), strings.Join(why, ", ")
	return &o
}

// Hours are hours of some days of the week, in the machine's own time.
type Hours struct {
	days [7]bool // by time.Weekday, on which they begin
	// from and to are minutes after midnight; to is on the day after where it is not later.
	from, to int
}

const day = 24 * 60 // minutes

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseHours reads "[DAYS ]HH:MM-HH:MM", such as "22:00-07:00" or "mon-fri,sun 09:00-17:00". Without
// days it is every day; hours past midnight belong to the day on which they begin. 24:00 is the end of
// a day.
func ParseHours(s string) (Hours, error) {
	var h Hours
	days, clock, found := strings.Cut(strings.TrimSpace(s), " ")
	if !found {
		days, clock = "sun-sat", days
	}
	for part := range strings.SplitSeq(strings.ToLower(days), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, b := weekday(first), weekday(last)
		if a < 0 || b < 0 {
			return h, fmt.Errorf("%q is no day of the week, or two with a dash: mon, mon-fri, sat,sun", part)
		}
		for ; ; a = (a + 1) % 7 {
			h.days[a] = true
			if a == b {
				break
			}
		}
	}
	from, to, ok := strings.Cut(strings.TrimSpace(clock), "-")
	var err1, err2 error
	h.from, err1 = minutes(from)
	h.to, err2 = minutes(to)
	switch {
	case !ok || err1 != nil || err2 != nil || h.from == day:
		return h, fmt.Errorf("%q is not HH:MM-HH:MM", clock)
	case h.from == h.to:
		return h, fmt.Errorf("%q is no time at all; a whole day is 00:00-24:00", clock)
	}
	return h, nil
}

func weekday(s string) int {
	for i, d := range weekdays {
		if s == d {
			return i
		}
	}
	return -1
}

// minutes reads HH:MM, 24:00 at most.
func minutes(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hours, err1 := strconv.ParseUint(h, 10, 8)
	mins, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || err1 != nil || err2 != nil || len(h) != 2 || len(m) != 2 || mins > 59 || hours*60+mins > day {
		return 0, fmt.Errorf("%q is not HH:MM", s)
	}
	return int(hours*60 + mins), nil
}

// until returns when h ends, where it holds at now.
func (h Hours) until(now time.Time) (end time.Time, holds bool) {
	at := now.Hour()*60 + now.Minute()
	today := int(now.Weekday())
	to := h.to
	if h.to <= h.from {
		to += day
	}
	for ago := range 2 { // begun today, or yesterday
		if h.days[(today+7-ago)%7] && h.from-ago*day <= at && at < to-ago*day {
			y, m, d := now.Date()
			return time.Date(y, m, d-ago, 0, to, 0, 0, now.Location()), true
		}
	}
	return time.Time{}, false
}

// closedUntil returns when the last of those hours ends that hold at now and follow without a gap; the
// zero time where that is more than a week away.
func closedUntil(hours []Hours, now time.Time) (until time.Time, closed bool) {
	until = now
	for again := true; again; {
		again = false
		for _, h := range hours {
			if end, holds := h.until(until); holds && end.After(until) {
				until, closed, again = end, true, true
			}
		}
		if until.Sub(now) > 8*24*time.Hour {
			return time.Time{}, true
		}
	}
	return until, closed
}

// untilWords names a time for people, with its day where that is not today's.
func untilWords(until, now time.Time) string {
	switch {
	case until.IsZero():
		return "at all hours"
	case until.YearDay() == now.YearDay():
		return "until " + until.Format("15:04")
	}
	return "until " + until.Format("Mon 15:04")
}

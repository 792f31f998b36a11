package node

import (
	"context"
	"io/fs"
	"strings"
)

// Power is where a machine has its power from.
type Power string

// The kinds of Power.
const (
	PowerUnknown Power = "" // as on most machines without a battery
	PowerMains   Power = "mains"
	PowerBattery Power = "battery"
)

// PowerNow returns where this machine has its power from. It reads what the system knows, and waits for
// at most ctx.
func PowerNow(ctx context.Context) Power { return powerNow(ctx) }

// sysPower reads a tree like Linux's /sys/class/power_supply. Batteries of mice and the like do not
// count. A machine whose batteries are empty of use, because a supply is on line, is on mains.
func sysPower(tree fs.FS) Power {
	supplies, err := fs.ReadDir(tree, ".")
	if err != nil {
		return PowerUnknown
	}
	found := PowerUnknown
	for _, s := range supplies {
		word := func(name string) string {
			b, err := fs.ReadFile(tree, s.Name()+"/"+name)
			if err != nil || len(b) > 64 {
				return ""
			}
			return strings.TrimSpace(string(b))
		}
		if word("scope") == "Device" {
			continue
		}
		switch word("type") {
		case "Mains", "USB", "Wireless":
			if word("online") == "1" || word("online") == "2" {
				return PowerMains
			}
		case "Battery", "UPS":
			if st := word("status"); word("present") != "0" && (st == "Discharging" || found == PowerBattery) {
				found = PowerBattery
			} else if st == "Charging" || st == "Full" {
				found = PowerMains
			}
		}
	}
	return found
}

// pmsetPower reads what macOS's `pmset -g batt` prints.
func pmsetPower(out string) Power {
	first, _, _ := strings.Cut(out, "\n")
	switch {
	case strings.Contains(first, "'Battery Power'"), strings.Contains(first, "'UPS Power'"):
		return PowerBattery
	case strings.Contains(first, "'AC Power'"):
		return PowerMains
	}
	return PowerUnknown
}

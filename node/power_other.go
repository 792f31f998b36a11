//go:build !linux && !darwin && !windows

package node

import "context"

func powerNow(context.Context) Power { return PowerUnknown }

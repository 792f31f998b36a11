package node

import "context"

func powerNow(ctx context.Context) Power {
	out, err := run(ctx, "/usr/bin/pmset", "-g", "batt")
	if err != nil {
		return PowerUnknown
	}
	return pmsetPower(out)
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"
)

// limit is far more than all calls take.
const limit = 2 * time.Minute

// call is one call of one client. It returns what is to be compared.
type call struct {
	name string
	do   func(context.Context) (any, error)
}

func main() {
	if len(os.Args) != 3 && (len(os.Args) != 4 || os.Args[3] != "search") && (len(os.Args) < 4 || os.Args[3] != "tools") {
		fmt.Fprintln(os.Stderr, "usage: clients URL MODEL [search | tools [COMMAND...]]")
		os.Exit(2)
	}
	base, err := url.Parse(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out := json.NewEncoder(os.Stdout)
	calls := slices.Concat(ollamaCalls(base, os.Args[2]), openAICalls(base, os.Args[2]), responsesCalls(base, os.Args[2]), anthropicCalls(base, os.Args[2]), batchCalls(base, os.Args[2]))
	switch {
	case len(os.Args) > 3 && os.Args[3] == "tools":
		calls = toolCalls(base, os.Args[2], os.Args[4:])
	case len(os.Args) > 3:
		calls = searchCalls(base, os.Args[2])
	}
	for _, c := range calls {
		got, err := c.do(ctx)
		line := map[string]any{"call": c.name, "got": got}
		if err != nil {
			line["error"] = err.Error()
		}
		if err := out.Encode(line); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

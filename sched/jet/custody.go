package jet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// custodies is what the names of the streams with second copies begin with.
const custodies = "CUSTODY_"

// DropCustody deletes the copies of others' tasks from the store behind js, for a node that leaves its
// swarm: their submitters have them, and make second copies elsewhere. They are taken off the count
// in dir first, so that the next Load does not take them for lost. The node's Jet must be closed.
func DropCustody(ctx context.Context, js jetstream.JetStream, dir string) (err error) {
	var drop []string
	var messages int64
	infos := js.ListStreams(ctx)
	for info := range infos.Info() {
		if strings.HasPrefix(info.Config.Name, custodies) {
			drop = append(drop, info.Config.Name)
			messages += int64(info.State.Msgs)
		}
	}
	if err := infos.Err(); err != nil {
		return fmt.Errorf("list the copies of others' tasks: %w", err)
	}
	if len(drop) == 0 {
		return nil
	}
	c, err := openCounter(filepath.Join(dir, "count"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.add(-messages); err != nil {
		return err
	}
	for _, name := range drop {
		if derr := js.DeleteStream(ctx, name); derr != nil {
			err = errors.Join(err, fmt.Errorf("delete %s: %w", name, derr))
		}
	}
	return err
}

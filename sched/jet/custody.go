package jet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// custodies is what the names of the streams with second copies begin with.
const custodies = "CUSTODY_"

// DropCustody deletes the copies of others' tasks from the store behind js, and their large content from dir, for a node
// that leaves its swarm: their submitters have them, and make second copies elsewhere. They are taken off the count
// in dir first, so that the next Load does not take them for lost. The node's Jet must be closed.
func DropCustody(ctx context.Context, js jetstream.JetStream, dir string) (err error) {
	var drop []string
	defer func() { err = errors.Join(err, dropContent(ctx, js, filepath.Join(dir, "blobs"), len(drop) > 0)) }()
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

// dropContent deletes the large content in dir that is of no task in an outbox of this node's own. Where there is none, and were no
// copies of others', the store may have lost both, and it stays for the collector.
func dropContent(ctx context.Context, js jetstream.JetStream, dir string, copies bool) error {
	files, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(files) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("look for large content: %w", err)
	}
	own := map[bus.TaskID]bool{}
	infos := js.ListStreams(ctx)
	for info := range infos.Info() {
		if !strings.HasPrefix(info.Config.Name, outboxesOwn) {
			continue
		}
		s, err := js.Stream(ctx, info.Config.Name)
		if err == nil {
			info, err = s.Info(ctx, jetstream.WithSubjectFilter(">"))
		}
		if err != nil {
			return fmt.Errorf("list this node's own tasks: %w", err)
		}
		copies = true
		for subject := range info.State.Subjects {
			own[bus.TaskID(subject[strings.LastIndexByte(subject, '.')+1:])] = true
		}
	}
	if err := infos.Err(); err != nil {
		return fmt.Errorf("list this node's own tasks: %w", err)
	}
	if !copies {
		return nil
	}
	for _, f := range files {
		if id, bad := parseBlobName(f.Name()); bad == nil && !own[id.Task] {
			err = errors.Join(err, atomicfile.Remove(filepath.Join(dir, f.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("delete the large content of others' tasks: %w", err)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"motte/core/model"
)

// getNames prints the objects whose names a file lists.
func (a *app) getNames(ctx context.Context, collection, path string, fields []field, keys []sortKey) error {
	names, err := a.readNames(ctx, path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	p := a.printer(fields)
	err = p.objects(sorted(c.GetAll(ctx, collection, names...), keys))
	if err != nil {
		err = fmt.Errorf("collection %s: %w", collection, err)
	}
	return p.finish(p.flush(err))
}

// readNames reads the names in a file, one on each line.
func (a *app) readNames(ctx context.Context, path string) (names []string, err error) {
	f, err := a.openInput(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := newLines(input{ctx, f}, model.MaxName)
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err == nil && len(line) == 0 {
			err = errors.New("the line is empty, and no object has an empty name")
		}
		if err != nil {
			return nil, lineError{in.number, err}
		}
		names = append(names, string(line))
	}
}

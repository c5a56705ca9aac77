package crashfs

import (
	"fmt"
	"io"
	"log"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Mount is a volume in the file tree.
type Mount struct {
	*Volume
	Dir    string
	server *fuse.Server
}

// MountAt mounts a volume on a directory. It needs /dev/fuse, and the right to mount at least in
// its mount namespace.
func (v *Volume) MountAt(dir string) (*Mount, error) {
	s, err := fuse.NewServer(kernel{fuse.NewDefaultRawFileSystem(), v}, dir, &fuse.MountOptions{
		FsName: "lossy", Name: "lossy", DirectMountStrict: true, DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 128 << 10,
		Logger: log.New(io.Discard, "", 0), // it would log requests of killed processes
	})
	if err != nil {
		return nil, fmt.Errorf("mount a lossy volume: %w", err)
	}
	go s.Serve() // Unmount waits for it
	if err := s.WaitMount(); err != nil {
		return nil, fmt.Errorf("mount a lossy volume: %w", err)
	}
	return &Mount{v, dir, s}, nil
}

// Unmount ends the mount, and waits for that. No process may use the mount any more. If the
// power was cut, requests that wait for the disk fail.
func (m *Mount) Unmount() error {
	if err := m.server.Unmount(); err != nil {
		return fmt.Errorf("unmount %s: %w", m.Dir, err)
	}
	return nil
}

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

// MountAt mounts a volume on a directory. It needs the right to mount, in the
// mount namespace at least, and /dev/fuse.
func (v *Volume) MountAt(dir string) (*Mount, error) {
	s, err := fuse.NewServer(kernel{fuse.NewDefaultRawFileSystem(), v}, dir, &fuse.MountOptions{
		FsName: "lossy", Name: "lossy", DirectMountStrict: true, DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 128 << 10,
		Logger: log.New(io.Discard, "", 0), // it reports requests whose process was killed
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

// Unmount ends the mount, which nothing may use any more, and waits for it. If
// the power was cut, what still waits for the disk fails.
func (m *Mount) Unmount() error {
	if err := m.server.Unmount(); err != nil {
		return fmt.Errorf("unmount %s: %w", m.Dir, err)
	}
	return nil
}

// Package crashfs is a file system for tests. It can lose writes that were not synced, and fail
// on request. The package also has tests of the real server on this file system: power cuts,
// full disks, and disks that refuse writes and syncs.
//
// A Volume is served to the kernel by FUSE, and is entirely in memory. It keeps two states: the
// state that processes see, and the durable state:
//
//   - The content and the length of a file become durable with the next fsync or fdatasync
//     of the file.
//   - The names in a directory become durable with the next fsync of the directory. An
//     fsync of a file makes no name durable, and an fsync of a directory does not make the
//     directory's own name durable.
//   - Attributes other than the length are durable immediately.
//
// Of the volatile changes, a power cut leaves the worst that a journaling file system may leave,
// on a disk with a cache (file.drop, names.drop):
//
//   - Each 4 KiB page has its content after any of the writes since the last sync, or
//     before all of them. This is independent of other pages. In some pages it holds for
//     each 512-byte sector.
//   - The length is any that the file had since the last sync, even if the data is lost. If
//     a file became longer without its data, the new part has zeros or, in some files, old
//     bytes of the disk.
//   - Each creation, removal and rename survives or not, in any combination. But a change
//     survives only with the earlier changes that it needs: those of the same name, and
//     for a rename the creation of its target directory. A rename survives as a whole.
//
// A failed sync loses the same changes as a power cut. Processes still see their writes, and the
// next sync succeeds without trying again. Linux behaves in this way.
//
// The tests use a Volume in two ways. It is the file system of the store, and then weaker than
// any file system in use. Or it is the disk of an ext4, through a loop device. Then the kernel's
// own code decides what reaches the disk, and when.
//
// The power is cut before a step of the volume, not at a time. Between two system calls there is
// always a volatile change, but at a random time there hardly ever is. After the cut, the volume
// answers no request, and the test kills all processes. Only then do their requests fail. So no
// write can be acknowledged after the cut.
//
// The package needs /dev/fuse, and the right to mount in its own mount namespace: root, or user
// namespaces. ext4 needs root, mkfs.ext4 and loop devices. If these are missing, the tests are
// skipped. No process of the tests has its working directory in a mount, or starts an executable
// from one. Otherwise this process, which serves the mount, could wait for itself.
package crashfs

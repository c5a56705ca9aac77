// Package crashfs is a file system that loses what was not synced, and fails, when
// a test wants it to; and the tests of the real server on it, as its users start
// it: power cuts, full disks, and disks that refuse writes and syncs.
//
// A Volume is served to the kernel by FUSE, all of it in memory. It keeps apart
// what processes see and what is durable:
//
//   - What was written to a file, and its length, are durable from the file's next
//     fsync or fdatasync on.
//   - The names in a directory are durable from the next fsync of the directory
//     on. That of a file makes no name durable, nor that of a directory its own
//     name, and the other way round.
//   - The attributes other than the length are durable at once.
//
// A power cut leaves of the rest what a file system with a journal on a disk with
// a cache may leave, at the worst (file.drop, names.drop):
//
//   - Each 4 KiB page, and in some pages each 512-byte sector by itself, is as it
//     was after any of the writes to it since the last sync, or as before all of
//     them, whatever became of other pages.
//   - The length is any that the file had since then, whether its data is there
//     or not. Where a file became longer without its data, there are zeros or, in
//     some files, whatever the disk held.
//   - Each creation, removal, and rename survives or not, in any combination,
//     except that none survives without those before that it depends on: the ones
//     of the same name, and for a rename what made the directory that it goes to.
//     A rename survives as a whole.
//
// A failed sync loses as a power cut would, but processes go on seeing what they
// wrote, and the next sync succeeds and does not try it again: so does Linux.
//
// The tests use a Volume in two ways: as the file system of the store, which is
// then weaker than any in use; and as the disk, through a loop device, of an ext4,
// of which the kernel's own code decides what reaches the disk when.
//
// The power is cut before a step of the volume, not at a time: between two system
// calls something is always volatile, at a random time hardly ever. From then on
// the volume answers no request, all processes are killed, and only then it lets
// their requests fail. So nothing that was acknowledged can have come later.
//
// It needs /dev/fuse and the right to mount in a mount namespace of its own: root,
// or user namespaces; and for ext4 root, mkfs.ext4 and loop devices. Where these
// are not, tests are skipped. None of the processes here works in a directory of a
// mount or starts anything from one: the server of the mount is in the same
// process, which may not wait for itself.
package crashfs

package crashfs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// kernel answers the kernel's requests for a mounted volume. It does not implement symbolic
// links, holes and extended attributes. For these the kernel returns an error, or works without
// them.
//
// Every file is opened for direct I/O, and names and attributes are not cached. So each system
// call arrives here, in order, and no data outlives the mount.
type kernel struct {
	fuse.RawFileSystem
	*Volume
}

func (k kernel) String() string { return "lossy" }

// at locks the volume, and finds a node. Unless it returns an error, the caller unlocks.
func (k kernel) at(id uint64) (*node, fuse.Status) { return k.find(id, k.use()) }

// change is like at, for an operation that changes the volume or syncs.
func (k kernel) change(id uint64) (*node, fuse.Status) {
	return k.find(id, k.step(position{}, position{}, false))
}

func (k kernel) find(id uint64, err syscall.Errno) (*node, fuse.Status) {
	if err != 0 {
		return nil, fuse.Status(err)
	}
	n := k.nodes[id]
	if n == nil {
		k.mu.Unlock()
		return nil, fuse.ENOENT
	}
	return n, fuse.OK
}

func (k kernel) attr(id uint64, n *node, out *fuse.Attr) {
	*out = fuse.Attr{Ino: id, Mode: n.mode, Nlink: 1, Owner: fuse.Owner{Uid: n.uid, Gid: n.gid}, Blksize: pageSize}
	if n.file != nil {
		out.Size, out.Blocks, out.Nlink = uint64(n.now.size), uint64(len(n.now.pages)*perPage), k.names.count(id)
	}
	out.SetTimes(&n.modified, &n.modified, &n.modified)
}

func (k kernel) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if _, code := k.at(in.NodeId); code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	id := k.names.now[entry{in.NodeId, name}]
	if id == 0 {
		return fuse.ENOENT
	}
	out.NodeId = id
	k.attr(id, k.nodes[id], &out.Attr)
	return fuse.OK
}

func (k kernel) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, code := k.at(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	k.attr(in.NodeId, n, &out.Attr)
	return fuse.OK
}

// SetAttr changes attributes. Except for the length, they are durable immediately.
func (k kernel) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, code := k.change(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	if mode, ok := in.GetMode(); ok {
		n.mode = n.mode&syscall.S_IFMT | mode
	}
	if uid, ok := in.GetUID(); ok {
		n.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		n.gid = gid
	}
	if t, ok := in.GetMTime(); ok {
		n.modified = t
	}
	if size, ok := in.GetSize(); ok {
		if n.file == nil {
			return fuse.EISDIR
		}
		if k.writeError != 0 {
			return fuse.Status(k.writeError)
		}
		k.space += max(0, n.allocated-int64(size))
		n.allocated = min(n.allocated, int64(size))
		n.truncate(int64(size))
	}
	k.attr(in.NodeId, n, &out.Attr)
	return fuse.OK
}

// add makes a node with a name.
func (k kernel) add(in *fuse.InHeader, name string, n *node, out *fuse.EntryOut) fuse.Status {
	if _, code := k.change(in.NodeId); code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	e := entry{in.NodeId, name}
	if k.names.now[e] != 0 {
		return fuse.Status(syscall.EEXIST)
	}
	if k.writeError != 0 {
		return fuse.Status(k.writeError)
	}
	id := k.next
	k.next++
	n.uid, n.gid, n.modified = in.Uid, in.Gid, time.Now()
	k.nodes[id] = n
	k.names.change(move{e: id})
	out.NodeId = id
	k.attr(id, n, &out.Attr)
	return fuse.OK
}

func (k kernel) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return k.add(&in.InHeader, name, &node{mode: syscall.S_IFDIR | in.Mode&0o7777}, out)
}

func (k kernel) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	return k.add(&in.InHeader, name, &node{file: newFile(), mode: syscall.S_IFREG | in.Mode&0o7777}, &out.EntryOut)
}

// Link gives a file another name.
func (k kernel) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	n, code := k.change(in.Oldnodeid)
	if code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	e := entry{in.NodeId, name}
	switch {
	case k.names.now[e] != 0:
		return fuse.Status(syscall.EEXIST)
	case k.writeError != 0:
		return fuse.Status(k.writeError)
	}
	k.names.change(move{e: in.Oldnodeid})
	out.NodeId = in.Oldnodeid
	k.attr(in.Oldnodeid, n, &out.Attr)
	return fuse.OK
}

func (k kernel) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return k.remove(entry{in.NodeId, name})
}

func (k kernel) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return k.remove(entry{in.NodeId, name})
}

// remove removes a name. The kernel has checked that rmdir gets a directory, and unlink does
// not.
func (k kernel) remove(e entry) fuse.Status {
	if _, code := k.change(e.dir); code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	id := k.names.now[e]
	switch {
	case id == 0:
		return fuse.ENOENT
	case len(k.names.in(id)) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	case k.writeError != 0:
		return fuse.Status(k.writeError)
	}
	k.names.change(move{e: 0})
	k.giveBack(id)
	return fuse.OK
}

// giveBack frees the space of a file without a name.
func (v *Volume) giveBack(id uint64) {
	if n := v.nodes[id]; n != nil && n.file != nil && !v.names.has(id) {
		v.space += n.allocated + int64(len(n.now.pages))*pageSize
		n.allocated = 0
	}
}

// Fallocate reserves space from the beginning of a file, and sets its length.
func (k kernel) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	n, code := k.change(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	end := int64(in.Length)
	switch more := end - n.allocated; {
	case in.Mode != 0 || in.Offset != 0 || n.file == nil:
		return fuse.Status(syscall.EOPNOTSUPP)
	case k.writeError != 0:
		return fuse.Status(k.writeError)
	case k.full && more > k.space:
		return fuse.Status(syscall.ENOSPC)
	case more > 0:
		k.space -= more
		n.allocated = end
	}
	n.truncate(max(end, n.now.size))
	return fuse.OK
}

func (k kernel) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if in.Flags != 0 {
		return fuse.EINVAL
	}
	if _, code := k.change(in.NodeId); code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	from, to := entry{in.NodeId, oldName}, entry{in.Newdir, newName}
	id := k.names.now[from]
	switch {
	case id == 0:
		return fuse.ENOENT
	case len(k.names.in(k.names.now[to])) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	case k.writeError != 0:
		return fuse.Status(k.writeError)
	}
	if from != to {
		replaced := k.names.now[to]
		k.names.change(move{from: 0, to: id})
		k.giveBack(replaced)
	}
	return fuse.OK
}

func (k kernel) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if _, code := k.at(in.NodeId); code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	return fuse.OK
}

func (k kernel) Read(_ <-chan struct{}, in *fuse.ReadIn, p []byte) (fuse.ReadResult, fuse.Status) {
	n, code := k.at(in.NodeId)
	if code != fuse.OK {
		return nil, code
	}
	defer k.mu.Unlock()
	return fuse.ReadResultData(p[:n.now.readAt(p[:min(len(p), int(in.Size))], int64(in.Offset))]), fuse.OK
}

// Write writes as much as there is space for.
func (k kernel) Write(_ <-chan struct{}, in *fuse.WriteIn, p []byte) (uint32, fuse.Status) {
	end := int64(in.Offset) + int64(len(p))
	n, code := k.find(in.NodeId, k.step(position{in.NodeId, int64(in.Offset)}, position{in.NodeId, end}, false))
	if code != fuse.OK {
		return 0, code
	}
	defer k.mu.Unlock()
	if k.writeError != 0 {
		return 0, fuse.Status(k.writeError)
	}
	p = p[:k.room(&n.now, int64(in.Offset), len(p))]
	if len(p) == 0 && in.Size > 0 {
		return 0, fuse.Status(syscall.ENOSPC)
	}
	n.write(p, int64(in.Offset))
	n.modified = time.Now()
	return uint32(len(p)), fuse.OK
}

// room reserves space for a write, and returns how many bytes may be written.
func (f *faults) room(c *contents, offset int64, size int) int {
	for at := offset; f.full && at < offset+int64(size); at = (at/pageSize + 1) * pageSize {
		if c.pages[at/pageSize] != nil {
			continue
		}
		if f.space < pageSize {
			return int(at - offset)
		}
		f.space -= pageSize
	}
	return size
}

// Fsync makes the data and the length of a file durable, but not its name.
func (k kernel) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	n, code := k.change(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	switch {
	case k.lies:
	case k.syncError != 0:
		n.drop(k.rng, new(Loss))
		return fuse.Status(k.syncError)
	default:
		n.sync()
	}
	return fuse.OK
}

// FsyncDir makes the names in a directory durable, but not the files.
func (k kernel) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if _, code := k.find(in.NodeId, k.step(position{}, position{}, true)); code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	switch {
	case k.lies:
	case k.syncError != 0:
		return fuse.Status(k.syncError)
	default:
		k.names.sync(in.NodeId)
	}
	return fuse.OK
}

// Flush is called at each close of a file. It makes no change durable.
func (k kernel) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (k kernel) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if _, code := k.at(in.NodeId); code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	for i, e := range k.names.in(in.NodeId) {
		id := k.names.now[e]
		if uint64(i) >= in.Offset && !out.AddDirEntry(fuse.DirEntry{Name: e.name, Ino: id, Mode: k.nodes[id].mode, Off: uint64(i) + 1}) {
			break
		}
	}
	return fuse.OK
}

func (k kernel) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	if _, code := k.at(in.NodeId); code != fuse.OK {
		return code
	}
	defer k.mu.Unlock()
	const pages = 1 << 24
	*out = fuse.StatfsOut{Blocks: pages, Bfree: pages, Bavail: pages, Files: pages, Ffree: pages, Bsize: pageSize, Frsize: pageSize, NameLen: 255}
	if k.full {
		out.Bfree = uint64(k.space / pageSize)
		out.Bavail = out.Bfree
	}
	return fuse.OK
}

package crashfs

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// Volume holds the content of a disk, and the volatile state of a system that uses it. It serves
// one mount.
type Volume struct {
	mu    sync.Mutex
	nodes map[uint64]*node
	names names
	next  uint64 // number of the next node
	faults
	rng *rand.Rand // chooses what failed syncs lose

	power     bool
	steps     int           // steps until the power is cut; 0: no cut is planned
	last      position      // end of the last write
	onlyNames bool          // only syncs of directories count as steps
	off       chan struct{} // closed when the power is cut
	failed    chan struct{} // closed when requests that wait for a disk without power should fail
}

// position is an offset of a file.
type position struct {
	node   uint64
	offset int64
}

// node is a file or a directory.
type node struct {
	*file    // nil: a directory
	mode     uint32
	uid, gid uint32
	modified time.Time
}

// faults are the present faults of the disk.
type faults struct {
	full       bool
	space      int64         // bytes that files may still take, if full is set
	writeError syscall.Errno // 0: writes succeed
	syncError  syscall.Errno
	lies       bool // syncs do nothing
}

// NewVolume makes an empty volume.
func NewVolume() *Volume {
	v := blank(map[entry]uint64{})
	v.nodes[root] = &node{mode: syscall.S_IFDIR | 0o755, modified: time.Now()}
	return v
}

func blank(durable map[entry]uint64) *Volume {
	return &Volume{nodes: make(map[uint64]*node), names: newNames(durable), next: root + 1, rng: rand.New(rand.NewPCG(1, 2)),
		power: true, off: make(chan struct{}), failed: make(chan struct{})}
}

// Fill leaves the given number of bytes free. Overwriting needs no space.
func (v *Volume) Fill(space int64) { v.fault(faults{full: true, space: space}) }

// FailWrites makes every write fail with EIO.
func (v *Volume) FailWrites() { v.fault(faults{writeError: syscall.EIO}) }

// FailSyncs makes every sync fail with EIO. As on Linux, a failed sync loses a part of the
// changes, and no later sync tries again. Processes see these changes until the power is cut.
func (v *Volume) FailSyncs() { v.fault(faults{syncError: syscall.EIO}) }

// Heal ends all faults.
func (v *Volume) Heal() { v.fault(faults{}) }

func (v *Volume) fault(f faults) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = f
}

// Lie makes every sync succeed without effect.
func (v *Volume) Lie() { v.fault(faults{lies: true}) }

// CutAfter cuts the power after a number of steps: changes of files and directories, and syncs.
// A write that continues the write before it is not a new step. The channel is closed when the
// power is cut.
func (v *Volume) CutAfter(steps int) <-chan struct{} { return v.cutLater(steps, false) }

// CutAfterNames cuts the power before a sync of a directory, after a number of such syncs. At
// that moment a name is volatile, which is rare otherwise.
func (v *Volume) CutAfterNames(syncs int) <-chan struct{} { return v.cutLater(syncs, true) }

func (v *Volume) cutLater(steps int, names bool) <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.steps, v.onlyNames = steps+1, names
	return v.off
}

// Cut cuts the power, unless it is cut already. No later change is durable. Every use of the
// volume waits until Fail.
func (v *Volume) Cut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cut()
}

func (v *Volume) cut() {
	if v.power {
		v.power = false
		close(v.off)
	}
}

// Fail makes the waiting and later requests fail, if the power is cut.
func (v *Volume) Fail() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.power {
		close(v.failed)
	}
}

// Revive undoes the cut after Fail, as if only the processes had been killed. Volatile changes
// stay volatile.
func (v *Volume) Revive() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.power, v.steps, v.off, v.failed = true, 0, make(chan struct{}), make(chan struct{})
}

// Left returns the volume after the power is back. Call it after Fail.
func (v *Volume) Left(rng *rand.Rand) (*Volume, Loss) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var l Loss
	v.names.drop(rng, &l)
	left := blank(v.names.durable)
	left.next = v.next
	for id := uint64(root); id < v.next; id++ { // in order, so that the same seed gives the same loss
		n := v.nodes[id]
		if n == nil || id != root && !left.names.has(id) {
			continue
		}
		if n.file != nil {
			n.drop(rng, &l)
			n.now = n.durable.clone()
		}
		left.nodes[id] = n
	}
	left.rng = rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
	return left, l
}

// use locks the volume for one operation. Without power, it waits and then fails.
func (v *Volume) use() syscall.Errno {
	v.mu.Lock()
	return v.powered()
}

// step locks the volume for one operation before which the power may be cut. A write covers the
// bytes from begin to end. names says that the operation syncs a directory.
func (v *Volume) step(begin, end position, names bool) syscall.Errno {
	v.mu.Lock()
	if v.steps > 0 && (begin != v.last || begin == end) && (names || !v.onlyNames) {
		if v.steps--; v.steps == 0 {
			v.cut()
		}
	}
	v.last = end
	return v.powered()
}

func (v *Volume) powered() syscall.Errno {
	if v.power {
		return 0
	}
	failed := v.failed
	v.mu.Unlock()
	<-failed
	return syscall.EIO
}

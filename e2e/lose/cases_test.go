package lose

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"motte/client"
)

// The segments of the store that every case begins with.
const (
	oldSegment    = 0 // before the newest checkpoint: early and hers
	middleSegment = 1 // behind it: middle
)

// cases does what each row of the page says, by the name of the row's place.
var cases = map[string]func(w *world){
	// Files are removed.
	"rm-old-segment": func(w *world) {
		w.remove(w.segment(oldSegment))
		w.refused()
		w.verified()
		s := w.salvaged()
		w.gone(early...)
		w.gone(hers...)
		w.has(middle...)
		w.has(late...)
		w.alerts("loss-accepted")
		s.stop()
	},
	"rm-middle-segment": func(w *world) {
		w.remove(w.segment(middleSegment))
		w.refused()
		w.verified()
		s := w.salvaged()
		w.has(early...)
		w.gone(middle...)
		w.has(late...)
		s.stop()
	},
	"rm-newest-segment": func(w *world) {
		w.remove(w.newestSegment())
		s := w.again()
		w.wentBack()
		w.motte("head", "accept", "--yes")
		w.has(early...)
		w.has(middle...)
		w.gone(late...)
		s.stop()
	},
	"rm-newest-segment-anchored": func(w *world) {
		w.anchored()
		w.remove(w.newestSegment())
		w.refused("--anchor", "file:anchor")
		w.motte("recover", "--dir", "store", "--anchor", "file:anchor", "--root-key", "root.key", "--accept-loss", "--yes")
		s := w.again("--anchor", "file:anchor")
		w.motte("head", "accept", "--yes")
		w.has(all()...)
		w.gone("kim")
		s.stop()
	},
	"rm-checkpoint": func(w *world) {
		w.remove(w.checkpoint(1))
		s := w.again()
		w.has(all()...)
		w.put("admin.profile", "kim")
		w.motte("delete", "people", "--name", "kim")
		w.motte("compact")
		s.stop()
		w.checkpoint(1)
	},
	"rm-checkpoints": func(w *world) {
		w.remove(w.files("store/*.ckp")...)
		w.refused()
		w.verified()
		w.lost = true
		w.fails("verify", "--dir", "store", "--salvage", "--yes", "--root-key", "root.key")
		w.restored("backup").stop()
	},
	"rm-data-keys": func(w *world) {
		w.remove("store/data.keys")
		s := w.again()
		w.alerts("file-lost")
		w.has(all()...)
		s.stop()
		w.files("store/data.keys")
	},
	"rm-both-data-keys": func(w *world) {
		w.remove("store/data.keys", "store/data.keys.copy")
		w.refused()
		w.motte("backup", "--dir", "store", "--to", "now")
		s := w.restored("now")
		w.has(all()...)
		s.stop()
	},
	"rm-both-data-keys-no-export": func(w *world) {
		w.remove("store/data.keys", "store/data.keys.copy", "keys.age")
		w.refused()
		w.lost = true
		w.fails("verify", "--dir", "store", "--salvage", "--yes", "--root-key", "root.key")
		w.fails("key", "export", "--dir", "store", "--root-key", "root.key", "--recipient", recipient, "--out", "keys.age")
	},
	"rm-root-key": func(w *world) {
		w.remove("root.key")
		w.refused()
		w.motte("backup", "--dir", "store", "--to", "now")
		s := w.restored("now")
		w.has(all()...)
		s.stop()
	},
	"rm-root-key-no-export": func(w *world) {
		w.remove("root.key", "keys.age")
		w.refused()
		w.lost = true
		w.fails("verify", "--dir", "store", "--salvage", "--yes", "--root-key", "root.key")
	},
	"rm-admin-profile": func(w *world) {
		w.remove("admin.profile")
		s := w.again()
		w.fails("status")
		s.stop()
		w.motte("recover", "--dir", "store", "--new-admin", "--root-key", "root.key", "--out", "admin.profile", "--yes")
		s = w.again()
		w.alerts("new-administrator")
		w.motte("grant", "people", w.principal(), "read")
		w.has(all()...)
		s.stop()
	},
	"rm-client-profile": func(w *world) {
		w.remove("alice.profile")
		s := w.again()
		w.fails("--profile", "alice.profile", "get", "people", "--name", "eva")
		w.has(all()...)
		w.motte("principal", "rotate", "alice", "--out", "alice.profile")
		w.motte("--profile", "alice.profile", "get", "people", "--name", "eva")
		s.stop()
	},
	"rotate-root-key": func(w *world) {
		w.rotated()
		w.refused()
		s := w.serve("store", "--root-key", "next.key")
		w.has(all()...)
		s.stop()
	},
	"rotate-cut-short": func(w *world) {
		w.copy("store/data.keys.copy", "kept")
		w.rotated()
		w.must(os.Rename(w.path("kept"), w.path("store/data.keys.copy"))) // which a crash leaves as it was
		s := w.again()
		w.has(all()...)
		s.stop()
		w.rotated()
		w.refused()
		s = w.serve("store", "--root-key", "next.key")
		w.has(all()...)
		s.stop()
	},
	"rotate-old-export": func(w *world) {
		w.rotated()
		w.remove("root.key", "next.key")
		w.motte("backup", "--dir", "store", "--to", "now")
		s := w.restored("now")
		w.has(all()...)
		s.stop()
	},
	"rotate-core-key": func(w *world) {
		said := w.motte("key", "rotate-core", "--dir", "store", "--root-key", "root.key", "--now")
		s := w.again()
		w.fails("status")
		w.motte("profile", "set", "admin.profile", "--core-key", regexp.MustCompile("[0-9a-f]{64}").FindString(said))
		w.has(all()...)
		s.stop()
	},
	"rm-head-file": func(w *world) {
		w.copy("store", "old")
		s := w.again()
		w.put("admin.profile", "kim")
		s.stop()
		w.remove("admin.profile.head")
		s = w.serve("old", "--root-key", "root.key")
		w.motte("status") // the client notices nothing
		w.has(all()...)
		s.stop()
	},
	"rm-anchor": func(w *world) {
		w.anchored()
		w.remove("anchor")
		w.refused("--anchor", "file:anchor")
		w.motte("recover", "--dir", "store", "--anchor", "file:anchor", "--root-key", "root.key", "--accept-loss", "--yes")
		s := w.again("--anchor", "file:anchor")
		w.has(all()...)
		w.has("kim")
		s.stop()
	},
	"rm-all-segments": func(w *world) {
		w.remove(w.files("store/*.seg")...)
		w.refused()
		w.lost = true
		w.restored("backup").stop()
	},
	"rm-segments-and-checkpoints": func(w *world) {
		w.remove(w.files("store/*.seg")...)
		w.remove(w.files("store/*.ckp")...)
		s := w.again()
		w.fails("status")
		w.lost = true
		s.stop()
		w.restored("backup").stop()
	},
	"rm-all-anchored": func(w *world) {
		w.anchored()
		w.must(os.RemoveAll(w.path("store")))
		w.refused("--anchor", "file:anchor")
		w.lost = true
	},
	"rm-reserve": func(w *world) {
		w.again().stop() // which makes it again
		w.remove("store/reserve")
		s := w.again()
		w.has(all()...)
		s.stop()
		w.files("store/reserve")
	},
	"rm-socket": func(w *world) {
		s := w.again()
		w.remove("store/host.sock")
		w.has(all()...)
		w.motte("index", "list")
		s.stop()
		s = w.again()
		w.files("store/host.sock")
		s.stop()
	},
	"rm-served-segment": func(w *world) {
		s := w.again()
		w.remove(w.segment(oldSegment))
		w.alerts("file-lost")
		w.has(all()...)
		s.stop()
		s = w.again()
		w.has(all()...)
		s.stop()
	},
	"rm-served-newest-segment": func(w *world) {
		s := w.again()
		w.put("admin.profile", "kim")
		w.remove(w.newestSegment())
		w.alerts("file-lost")
		s.stop()
		s = w.again()
		w.has(all()...)
		w.has("kim")
		s.stop()
	},
	"rm-served-directory": func(w *world) {
		s := w.again()
		w.must(os.RemoveAll(w.path("store")))
		w.until("put", "people", "me.key", "--name", "kim")
		w.lost = true
		s.stop()
		w.restored("backup").stop()
	},

	"cut-profile": func(w *world) {
		s := w.again()
		w.change(w.path("admin.profile"), func(p []byte) []byte { return p[:bytes.Index(p, []byte("client-key"))] })
		w.fails("status")
		s.stop()
		w.motte("recover", "--dir", "store", "--new-admin", "--root-key", "root.key", "--out", "admin.profile", "--replace", "--yes")
		s = w.again()
		w.motte("grant", "people", w.principal(), "read")
		w.has(all()...)
		s.stop()
	},
	"anchor-of-another": func(w *world) {
		w.serve("other", "--anchor", "file:anchor").stop()
		w.refused("--anchor", "file:anchor")
		w.motte("recover", "--dir", "store", "--anchor", "file:mine", "--root-key", "root.key", "--accept-loss", "--yes")
		s := w.again("--anchor", "file:mine")
		w.has(all()...)
		s.stop()
	},

	// Bytes are changed.
	"flip-old-record": func(w *world) {
		w.flip(w.segment(oldSegment), -200)
		s := w.again()
		w.fails("get", "people", "--name", "eva")
		w.alerts("damaged-record")
		w.has(early...)
		w.has("fay")
		s.stop()
		w.verified()
		s = w.salvaged()
		w.gone("eva")
		s.stop()
	},
	"flip-new-record": func(w *world) {
		w.flip(w.segment(middleSegment), -200)
		w.refused()
		w.verified()
		s := w.salvaged()
		w.gone(middle[0])
		w.has(middle[1])
		w.has(late...)
		s.stop()
	},
	"flip-last-record": func(w *world) {
		w.flip(w.newestSegment(), -40)
		s := w.again()
		w.wentBack()
		w.motte("head", "accept", "--yes")
		w.gone(late[1])
		w.has(late[0])
		s.stop()
	},
	"flip-segment-header": func(w *world) {
		w.flip(w.segment(oldSegment), 100)
		w.refused()
		w.verified()
		s := w.salvaged()
		w.gone(early...)
		w.has(middle...)
		s.stop()
	},
	"flip-checkpoint": func(w *world) {
		w.flip(w.checkpoint(1), -40)
		s := w.again()
		w.alerts("checkpoint")
		w.has(all()...)
		s.stop()
	},
	"flip-checkpoints": func(w *world) {
		w.flip(w.checkpoint(0), -40)
		w.flip(w.checkpoint(1), -40)
		w.refused()
		w.lost = true
		w.fails("verify", "--dir", "store", "--salvage", "--yes", "--root-key", "root.key")
		w.restored("backup").stop()
	},
	"flip-data-keys": func(w *world) {
		w.flip(w.path("store/data.keys"), -10)
		s := w.again()
		w.alerts("file-lost")
		w.has(all()...)
		s.stop()
	},
	"flip-both-data-keys": func(w *world) {
		w.flip(w.path("store/data.keys"), -10)
		w.flip(w.path("store/data.keys.copy"), -10)
		w.refused()
		w.motte("backup", "--dir", "store", "--to", "now")
		s := w.restored("now")
		w.has(all()...)
		s.stop()
	},
	"flip-root-key": func(w *world) {
		w.change(w.path("root.key"), func(p []byte) []byte {
			at := bytes.LastIndexAny(p, "0123456789abcdef")
			p[at] = "10"[p[at]&1]
			return p
		})
		w.refused()
		w.remove("root.key")
		w.motte("backup", "--dir", "store", "--to", "now")
		s := w.restored("now")
		w.has(all()...)
		s.stop()
	},
	"cut-old-segment": func(w *world) {
		w.must(os.Truncate(w.segment(oldSegment), 700))
		w.refused()
		w.verified()
		s := w.salvaged()
		w.gone("fay")
		w.has(early[0])
		w.has(late...)
		s.stop()
	},
	"cut-newest-segment": func(w *world) {
		w.must(os.Truncate(w.newestSegment(), 300))
		s := w.again()
		w.wentBack()
		w.motte("head", "accept", "--yes")
		w.has(middle...)
		w.gone(late[1])
		s.stop()
	},
	"cut-served-segment": func(w *world) {
		s := w.again()
		w.must(os.Truncate(w.segment(oldSegment), 700))
		w.alerts("file-lost")
		w.fails("get", "people", "--name", "fay")
		w.has(late...)
		w.lost = true
		s.stop()
	},
	"flip-head-file": func(w *world) {
		w.must(os.Truncate(w.path("admin.profile.head"), 40))
		s := w.again()
		w.fails("status")
		w.motte("head", "accept", "--yes")
		w.has(all()...)
		s.stop()
	},
	"flip-anchor": func(w *world) {
		w.anchored()
		w.flip(w.path("anchor"), 20)
		w.refused("--anchor", "file:anchor")
		w.remove("anchor")
		w.motte("recover", "--dir", "store", "--anchor", "file:anchor", "--root-key", "root.key", "--accept-loss", "--yes")
		s := w.again("--anchor", "file:anchor")
		w.has(all()...)
		s.stop()
	},
	"flip-backup": func(w *world) {
		w.flip(w.files("backup/0*.seg*")[0], -100)
		w.fails("restore", "--from", "backup", "--dir", "new", "--key", "keys.age", "--identity", "me.key")
		w.motte("backup", "--dir", "store", "--to", "backup", "--recheck")
		s := w.restored("backup")
		w.has(all()...)
		s.stop()
	},
	"foreign-segment": func(w *world) {
		w.copy("me.key", "store/00000009.seg")
		w.refused()
		w.remove("store/00000009.seg")
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"foreign-files": func(w *world) {
		for _, name := range []string{"notes.txt", "00000009.ckp", "new-00000009.ckp", "00000001.seg.gz"} {
			w.copy("me.key", "store/"+name)
		}
		s := w.again()
		w.has(all()...)
		s.stop()
	},

	// Copies.
	"older-copy": func(w *world) {
		w.copy("store", "old")
		s := w.again()
		w.put("admin.profile", "kim")
		w.motte("delete", "people", "--name", "ada")
		s.stop()
		w.move("store", "right")
		w.move("old", "store")
		s = w.again()
		w.wentBack()
		s.stop()
		w.move("store", "old")
		w.move("right", "store")
		s = w.again()
		w.has("kim")
		s.stop()
		w.move("store", "right")
		w.move("old", "store")
		s = w.again()
		w.motte("head", "accept", "--yes")
		w.gone("kim")
		w.has("ada") // which was deleted
		s.stop()
	},
	"older-copy-anchored": func(w *world) {
		w.anchored()
		w.copy("store", "old")
		s := w.again("--anchor", "file:anchor")
		w.put("admin.profile", "lea")
		s.stop()
		w.move("store", "right")
		w.move("old", "store")
		w.refused("--anchor", "file:anchor")
		w.move("store", "old")
		w.move("right", "store")
		s = w.again("--anchor", "file:anchor")
		w.has(all()...)
		w.has("lea")
		s.stop()
	},
	"segment-of-a-branch": func(w *world) {
		w.copy("store", "copy")
		for _, dir := range []string{"store", "copy"} {
			for range 2 {
				s := w.serve(dir, "--root-key", "root.key")
				w.motte("head", "accept", "--yes")
				w.put("admin.profile", "kim")
				s.stop()
			}
		}
		w.copy("store/00000005.seg", "kept")
		w.copy("copy/00000005.seg", "store/00000005.seg")
		w.refused()
		w.must(os.Rename(w.path("kept"), w.path("store/00000005.seg")))
		s := w.again()
		w.motte("head", "accept", "--yes")
		w.has(all()...)
		s.stop()
	},
	"older-checkpoint": func(w *world) {
		w.copy(w.checkpoint(0), w.checkpoint(1))
		s := w.again()
		w.alerts("checkpoint")
		w.has(all()...)
		s.stop()
	},
	"older-data-keys": func(w *world) {
		w.copy("store/data.keys", "data.keys")
		w.copy("store/data.keys.copy", "data.keys.copy")
		s := w.again()
		w.motte("principal", "remove", "alice", "--erase", "--yes")
		w.motte("compact")
		s.stop()
		w.must(os.Rename(w.path("data.keys"), w.path("store/data.keys")))
		w.must(os.Rename(w.path("data.keys.copy"), w.path("store/data.keys.copy")))
		s = w.again()
		w.alerts("keys-older")
		w.gone(hers...)
		s.stop()
	},
	"copy-served": func(w *world) {
		s := w.again()
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				default:
					_ = w.command("motte", "--quiet", "put", "people", "me.key", "--name", "busy").Run()
				}
			}
		}()
		w.copy("store", "copy")
		close(stop)
		<-ended
		w.put("admin.profile", "kim")
		w.motte("backup", "--dir", "store", "--to", "now")
		s.stop()
		s = w.begin("copy", "--root-key", "root.key")
		if s.serves() {
			w.wentBack()
			w.motte("head", "accept", "--yes")
			w.has(all()...)
			w.gone("kim")
			s.stop()
		}
		w.lost = true // what was put after the copy, or while it was made
		w.remove("admin.profile.head")
		s = w.restored("now")
		w.has(all()...)
		w.has("kim")
		s.stop()
	},
	"older-backup": func(w *world) {
		w.copy("store", "old")
		s := w.again()
		w.put("admin.profile", "kim")
		w.motte("backup", "--dir", "store", "--to", "backup")
		s.stop()
		w.must(os.RemoveAll(w.path("store")))
		w.move("old", "store")
		w.fails("backup", "--dir", "store", "--to", "backup")
		s = w.restored("backup")
		w.has(all()...)
		w.has("kim")
		s.stop()
	},
	"rm-manifest": func(w *world) {
		w.remove("backup/MANIFEST")
		w.fails("restore", "--from", "backup", "--dir", "new", "--key", "keys.age", "--identity", "me.key")
		w.motte("backup", "--dir", "store", "--to", "backup")
		s := w.restored("backup")
		w.has(all()...)
		s.stop()
	},
	"restore-over": func(w *world) {
		w.fails("restore", "--from", "backup", "--dir", "store", "--key", "keys.age", "--identity", "me.key")
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"export-of-another": func(w *world) {
		w.serve("other").stop()
		w.motte("key", "export", "--dir", "other", "--recipient", recipient, "--out", "other.age")
		w.fails("restore", "--from", "backup", "--dir", "new", "--key", "other.age", "--identity", "me.key")
		s := w.restored("backup")
		w.has(all()...)
		s.stop()
	},
	"wrong-recipient": func(w *world) {
		w.remove("keys.age")
		w.export("keys.age", stranger)
		w.fails("restore", "--from", "backup", "--dir", "new", "--key", "keys.age", "--identity", "me.key")
		w.remove("keys.age")
		w.export("keys.age", recipient)
		s := w.restored("backup")
		w.has(all()...)
		s.stop()
	},
	"erased-comes-back": func(w *world) {
		s := w.again()
		w.motte("principal", "remove", "alice", "--erase", "--yes")
		w.gone(hers...)
		s.stop()
		w.export("new.age", recipient)
		w.motte("restore", "--from", "backup", "--dir", "after", "--key", "new.age", "--identity", "me.key")
		s = w.serve("after")
		w.motte("head", "accept", "--yes")
		w.gone(hers...)
		s.stop()
		s = w.restored("backup") // with the export from before the erasure
		w.has(hers...)
		s.stop()
	},

	// Two servers, other places, other programs.
	"two-servers": func(w *world) {
		s := w.again()
		w.refused()
		w.has(all()...)
		s.stop()
	},
	"two-copies": func(w *world) {
		w.copy("store", "copy")
		s := w.again()
		w.put("admin.profile", "kim")
		s.stop()
		s = w.serve("copy", "--root-key", "root.key")
		w.put("alice.profile", "lea")
		w.put("alice.profile", "moe")
		w.wentBack()
		w.motte("head", "accept", "--yes")
		w.has(all()...)
		w.gone("kim")
		s.stop()
	},
	"move-served": func(w *world) {
		s := w.again()
		w.move("store", "moved")
		w.until("put", "people", "me.key", "--name", "kim")
		s.stop()
		s = w.serve("moved", "--root-key", "root.key")
		w.has(all()...)
		s.stop()
	},
	"wrong-directory": func(w *world) {
		s := w.serve("stroe", "--root-key", "root.key")
		w.fails("status")
		s.stop()
		s = w.again()
		w.has(all()...)
		s.stop()
	},
	"wrong-root-key": func(w *world) {
		w.serve("other", "--root-key", "other.key").stop()
		w.refuses("store", "--root-key", "other.key")
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"symbolic-link": func(w *world) {
		w.move("store", "real")
		w.must(os.Symlink("real", w.path("store")))
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"older-program": func(w *world) {
		older := filepath.Join(w.dir, "kept")
		w.copy("store", older)
		w.change(w.newestSegment(), func(p []byte) []byte {
			p[4]++ // the version
			return p
		})
		w.refused()
		w.must(os.RemoveAll(w.path("store")))
		w.move("kept", "store")
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"open-root-key": func(w *world) {
		w.must(os.Chmod(w.path("root.key"), 0o644))
		w.refused()
		w.must(os.Chmod(w.path("root.key"), 0o600))
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"open-profile": func(w *world) {
		s := w.again()
		w.must(os.Chmod(w.path("admin.profile"), 0o644))
		w.fails("status")
		w.must(os.Chmod(w.path("admin.profile"), 0o600))
		w.has(all()...)
		s.stop()
	},
	"open-directory": func(w *world) {
		w.must(os.Chmod(w.path("store"), 0o777))
		s := w.again()
		w.saysLater("others can write in the data directory")
		w.has(all()...)
		s.stop()
	},

	// What Motte is told to do.
	"remove-principal": func(w *world) {
		s := w.again()
		w.motte("principal", "remove", "alice")
		w.fails("--profile", "alice.profile", "status")
		w.has(all()...)
		s.stop()
	},
	"remove-last-administrator": func(w *world) {
		s := w.again()
		w.fails("principal", "remove", "admin")
		w.fails("revoke", "@server", "admin", "admin")
		w.has(all()...)
		s.stop()
	},
	"erase-principal": func(w *world) {
		s := w.again()
		w.fails("principal", "remove", "alice", "--erase")
		w.has(hers...)
		w.motte("principal", "remove", "alice", "--erase", "--yes")
		w.gone(hers...)
		w.has(early...)
		s.stop()
		w.remove("admin.profile.head")
		s = w.restored("backup")
		w.has(hers...)
		s.stop()
	},
	"delete": func(w *world) {
		s := w.again()
		w.motte("delete", "people", "--name", "ada")
		w.gone("ada")
		s.stop()
		w.remove("admin.profile.head")
		s = w.restored("backup")
		w.has("ada")
		s.stop()
	},
	"delete-by-predicate": func(w *world) {
		s := w.again()
		w.motte("task", "register", "hostile", "--file", filepath.Join(bin, "motte-task-hostile"))
		w.motte("index", "create", "people", "x", "--task", "hostile")
		c := w.command("motte", "put", "people", "-", "--name", "ada")
		c.Stdin = strings.NewReader(content("ada"))
		id, err := c.Output()
		w.must(err)
		// This Task names the object that the predicate tells it to.
		w.motte("delete", "people", "--where", "x", "given "+strings.TrimSpace(string(id)))
		w.gone("ada")
		w.has("bob")
		s.stop()
	},
	"overwrite": func(w *world) {
		s := w.again()
		w.fails("put", "people", "me.key", "--name", "ada", "--if-absent")
		w.has("ada")
		w.motte("put", "people", "me.key", "--name", "ada")
		if said := w.motte("get", "people", "--name", "ada"); said == content("ada") {
			w.t.Errorf("ada was not replaced: %s", said)
		}
		w.lost = true
		s.stop()
	},
	"drop-collection": func(w *world) {
		s := w.again()
		w.motte("collection", "drop", "people")
		w.gone(all()...)
		s.stop()
		w.remove("admin.profile.head")
		s = w.restored("backup")
		w.has(all()...)
		s.stop()
	},
	"accept-loss": func(w *world) {
		w.anchored()
		w.copy("store", "old")
		s := w.again("--anchor", "file:anchor")
		w.put("admin.profile", "lea")
		s.stop()
		w.move("store", "right")
		w.move("old", "store")
		w.motte("recover", "--dir", "store", "--anchor", "file:anchor", "--root-key", "root.key", "--accept-loss", "--yes")
		s = w.again("--anchor", "file:anchor")
		w.motte("head", "accept", "--yes")
		w.gone("lea")
		w.alerts("loss-accepted")
		s.stop()
		w.refuses("right", "--root-key", "root.key", "--anchor", "file:anchor")
	},
	"anchor-inside": func(w *world) {
		w.motte("recover", "--dir", "store", "--anchor", "file:store/anchor", "--root-key", "root.key", "--accept-loss", "--yes")
		w.copy("store", "old")
		s := w.again("--anchor", "file:store/anchor")
		w.saysLater("the anchor lies in the data directory")
		w.put("admin.profile", "kim")
		s.stop()
		w.move("store", "right")
		w.move("old", "store")
		s = w.again("--anchor", "file:store/anchor") // it went back together with the store
		w.motte("head", "accept", "--yes")
		w.gone("kim")
		s.stop()
	},

	// Crashes.
	"kill-server": func(w *world) {
		s := w.again()
		w.put("admin.profile", "kim")
		s.kill()
		s = w.again()
		w.has(all()...)
		w.has("kim")
		s.stop()
	},
	"kill-core": func(w *world) {
		s := w.again()
		w.put("admin.profile", "kim")
		s.signalCore(syscall.SIGKILL)
		w.saysLater("the Core ended and is started again")
		s.ready()
		w.has(all()...)
		w.has("kim")
		s.stop()
	},
	"kill-first-start-key": func(w *world) {
		w.must(os.WriteFile(w.path("new-new.key"), []byte("half"), 0o600)) // of a key, which the Core left
		w.refuses("new", "--root-key", "new.key")
		w.remove("new-new.key")
		w.serve("new", "--root-key", "new.key").stop()
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"kill-first-start": func(w *world) {
		for range 5 {
			s := w.begin("new")
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
				if list, _ := filepath.Glob(w.path("new/admin.profile*")); len(list) > 0 {
					break
				}
			}
			s.kill()
			if p, err := client.ReadProfile(w.path("new/admin.profile")); !errors.Is(err, os.ErrNotExist) && (err != nil || !p.Complete()) {
				w.t.Errorf("a start that was killed left half a profile: %+v, %v", p, err)
			}
		}
		s := w.serve("new")
		w.motte("--profile", "new/admin.profile", "collection", "create", "things")
		s.stop()
		s = w.again()
		w.has(all()...)
		s.stop()
	},
}

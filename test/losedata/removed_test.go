package losedata

import (
	"bytes"
	"os"
	"regexp"

	"motte/internal/testutil"
)

var filesAreRemoved = map[string]func(w *world){
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
		testutil.Must(w.t, os.Rename(w.path("kept"), w.path("store/data.keys.copy"))) // a crash can leave the older copy
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
		w.motte("status") // the client finds no difference
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
		testutil.Must(w.t, os.RemoveAll(w.path("store")))
		w.refused("--anchor", "file:anchor")
		w.lost = true
	},
	"rm-reserve": func(w *world) {
		w.again().stop() // the start makes the file again
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
		testutil.Must(w.t, os.RemoveAll(w.path("store")))
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
}

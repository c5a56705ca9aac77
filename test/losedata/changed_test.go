package losedata

import (
	"bytes"
	"os"

	"motte/internal/testutil"
)

var bytesAreChanged = map[string]func(w *world){
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
		testutil.Must(w.t, os.Truncate(w.segment(oldSegment), 700))
		w.refused()
		w.verified()
		s := w.salvaged()
		w.gone("fay")
		w.has(early[0])
		w.has(late...)
		s.stop()
	},
	"cut-newest-segment": func(w *world) {
		testutil.Must(w.t, os.Truncate(w.newestSegment(), 300))
		s := w.again()
		w.wentBack()
		w.motte("head", "accept", "--yes")
		w.has(middle...)
		w.gone(late[1])
		s.stop()
	},
	"cut-served-segment": func(w *world) {
		s := w.again()
		testutil.Must(w.t, os.Truncate(w.segment(oldSegment), 700))
		w.alerts("file-lost")
		w.fails("get", "people", "--name", "fay")
		w.has(late...)
		w.lost = true
		s.stop()
	},
	"flip-head-file": func(w *world) {
		testutil.Must(w.t, os.Truncate(w.path("admin.profile.head"), 40))
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
}

package losedata

import (
	"os"
	"path/filepath"

	"motte/internal/testutil"
)

var serversAndPlaces = map[string]func(w *world){
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
		testutil.Must(w.t, os.Symlink("real", w.path("store")))
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"older-program": func(w *world) {
		older := filepath.Join(w.dir, "kept")
		w.copy("store", older)
		w.change(w.newestSegment(), func(p []byte) []byte {
			p[4]++ // change the version
			return p
		})
		w.refused()
		testutil.Must(w.t, os.RemoveAll(w.path("store")))
		w.move("kept", "store")
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"open-root-key": func(w *world) {
		testutil.Must(w.t, os.Chmod(w.path("root.key"), 0o644))
		w.refused()
		testutil.Must(w.t, os.Chmod(w.path("root.key"), 0o600))
		s := w.again()
		w.has(all()...)
		s.stop()
	},
	"open-profile": func(w *world) {
		s := w.again()
		testutil.Must(w.t, os.Chmod(w.path("admin.profile"), 0o644))
		w.fails("status")
		testutil.Must(w.t, os.Chmod(w.path("admin.profile"), 0o600))
		w.has(all()...)
		s.stop()
	},
	"open-directory": func(w *world) {
		testutil.Must(w.t, os.Chmod(w.path("store"), 0o777))
		s := w.again()
		w.saysLater("others can write in the data directory")
		w.has(all()...)
		s.stop()
	},
}

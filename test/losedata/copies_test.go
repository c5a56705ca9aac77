package losedata

import (
	"os"

	"motte/internal/testutil"
)

var copiesAreMade = map[string]func(w *world){
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
		w.has("ada") // ada was deleted after the copy was made
		s.stop()
	},
	"older-copy-anchored": func(w *world) {
		w.rolledBack()
		w.refused("--anchor", "file:anchor")
		w.move("store", "old")
		w.move("right", "store")
		s := w.again("--anchor", "file:anchor")
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
		testutil.Must(w.t, os.Rename(w.path("kept"), w.path("store/00000005.seg")))
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
		testutil.Must(w.t, os.Rename(w.path("data.keys"), w.path("store/data.keys")))
		testutil.Must(w.t, os.Rename(w.path("data.keys.copy"), w.path("store/data.keys.copy")))
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
		w.lost = true // objects put after the copy, or during it
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
		testutil.Must(w.t, os.RemoveAll(w.path("store")))
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
		s = w.restored("backup") // with a key export from before the erasure
		w.has(hers...)
		s.stop()
	},
}

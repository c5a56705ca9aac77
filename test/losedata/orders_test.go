package losedata

import (
	"path/filepath"
	"strings"

	"motte/internal/testutil"
)

var ordersAreGiven = map[string]func(w *world){
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
		tasks := testutil.HostileTask(w.t)
		s := w.again("--task-dir", tasks)
		w.motte("task", "register", "hostile", "--file", filepath.Join(tasks, "motte-task-hostile"))
		w.motte("index", "create", "people", "x", "--task", "hostile")
		c := w.command("motte", "put", "people", "-", "--name", "ada")
		c.Stdin = strings.NewReader(content("ada"))
		id, err := c.Output()
		testutil.Must(w.t, err)
		// This Task names the object that the predicate names.
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
		w.rolledBack()
		w.motte("recover", "--dir", "store", "--anchor", "file:anchor", "--root-key", "root.key", "--accept-loss", "--yes")
		s := w.again("--anchor", "file:anchor")
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
		s = w.again("--anchor", "file:store/anchor") // the anchor was rolled back together with the store
		w.motte("head", "accept", "--yes")
		w.gone("kim")
		s.stop()
	},
}

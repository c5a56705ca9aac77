package losedata

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"motte/client"
	"motte/internal/testutil"
)

var processesAreKilled = map[string]func(w *world){
	"kill-server": func(w *world) {
		s := w.again()
		w.put("admin.profile", "kim")
		s.Kill()
		s = w.again()
		w.has(all()...)
		w.has("kim")
		s.stop()
	},
	"kill-core": func(w *world) {
		s := w.again()
		w.put("admin.profile", "kim")
		s.SignalCore(syscall.SIGKILL)
		w.saysLater("the Core ended and is started again")
		s.ready()
		w.has(all()...)
		w.has("kim")
		s.stop()
	},
	"kill-first-start-key": func(w *world) {
		testutil.Must(w.t, os.WriteFile(w.path("new-new.key"), []byte("half"), 0o600)) // a part of a key that the Core left
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
			for end := time.Now().Add(testutil.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
				if list, _ := filepath.Glob(w.path("new/admin.profile*")); len(list) > 0 {
					break
				}
			}
			s.Kill()
			if p, err := client.ReadProfile(w.path("new/admin.profile")); !errors.Is(err, os.ErrNotExist) && (err != nil || !p.Complete()) {
				w.t.Errorf("a start that was killed left an incomplete profile: %+v, %v", p, err)
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

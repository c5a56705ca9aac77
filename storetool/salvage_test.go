package storetool_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/client"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/seglog"
	"motte/core/server"
	"motte/internal/testutil"
	"motte/mottetest"
	"motte/storetool/fsck"
)

var damages = flag.Int("damages", 30, "stores that the damage test damages, and salvages")

// world is a store that was stopped, and all that ever was in it.
type world struct {
	dir      string                     // with data in it
	now      map[string]string          // what it holds, by name
	names    map[string]string          // by identity
	versions map[string]map[string]bool // of each name, all data it ever had
	tail     int64                      // where the last write of the newest segment begins
	newest   string
}

// makeWorld makes a store with segments of all kinds: with records that are dead,
// that were relocated, and, after the newest checkpoint, that replaced and deleted
// others.
func makeWorld(t *testing.T) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{dir: t.TempDir(), now: make(map[string]string), names: make(map[string]string), versions: make(map[string]map[string]bool)}
	n := 0
	var c *client.Client
	put := func(name string) {
		n++
		data := string(noise(fmt.Sprint(name, " ", n), 200+n%7*300))
		r, err := c.Put(ctx, "people", []byte(data), client.Name(name))
		testutil.Must(t, err)
		if w.versions[name] == nil {
			w.versions[name] = make(map[string]bool)
		}
		w.now[name], w.names[hex.EncodeToString(r.Identity[:])], w.versions[name][data] = data, name, true
	}
	remove := func(name string) {
		testutil.Must(t, c.Delete(ctx, "people", name))
		delete(w.now, name)
	}
	phases := []func(){func() { // each start makes a segment
		testutil.Must(t, c.CreateCollection(ctx, "people"))
		for i := range 30 {
			put(fmt.Sprint("a", i))
		}
		for i := range 10 {
			put(fmt.Sprint("a", i))
			remove(fmt.Sprint("a", 29-i))
		}
	}, func() {
		for i := range 30 { // and this one holds nothing that is dead
			put(fmt.Sprint("b", i))
		}
	}, func() {
		testutil.Must(t, c.Compact(ctx)) // relocates the live records of the first segment
		for i := range 6 {
			put(fmt.Sprint("a", i))
			remove(fmt.Sprint("b", i))
		}
	}, func() {
		for i := range 6 {
			put(fmt.Sprint("b", i+6))
			remove(fmt.Sprint("a", i+6))
			put(fmt.Sprint("c", i))
		}
		testutil.Must(t, c.CreateCollection(ctx, "others"))
		put("last")
	}}
	for _, phase := range phases {
		s := serve(t, w.dir)
		c = s.dial()
		phase()
		c.Close()
		s.stop()
	}
	segments, err := filepath.Glob(filepath.Join(w.dir, "data", "*.seg"))
	testutil.Must(t, err)
	w.newest = filepath.Base(segments[len(segments)-1])
	l, _, closed, err := openAsCore(t, w.data())
	testutil.Must(t, err)
	testutil.Must(t, l.Walk(l.Position().Segment, func(_ seglog.Record, at seglog.Location) error {
		w.tail = int64(at.Offset)
		return nil
	}))
	testutil.Must(t, closed())
	return w
}

func (w *world) data() string { return filepath.Join(w.dir, "data") }

// copied is another copy of the store, as a Core that is not there left it.
func (w *world) copied(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	testutil.Must(t, os.CopyFS(to, os.DirFS(w.data())))
	testutil.Must(t, os.Chmod(filepath.Join(to, "root.key"), 0o600))
	return to
}

// openAsCore opens a store as a Core does, which accepts no damage.
func openAsCore(t *testing.T, dir string) (l *seglog.Log, e *engine.Engine, closed func() error, err error) {
	t.Helper()
	root, err := server.ReadRootKey(filepath.Join(dir, "root.key"))
	testutil.Must(t, err)
	d, err := seglog.OpenDir(dir)
	testutil.Must(t, err)
	if l, err = seglog.Open(d, root, rand.Read, nil); err != nil {
		return nil, nil, d.Close, err
	}
	for _, n := range l.Checkpoints() {
		e = engine.New(engine.Config{Maker: identity.NewMaker(l.Keys().Identity()), Random: rand.Read, History: l, Now: time.Now()})
		if err = l.Restore(n, e.Restore); err == nil {
			break
		}
	}
	if err = l.Replay(e.Replay); err == nil {
		err = e.Check(l.Has)
	}
	return l, e, d.Close, err
}

// holds reads what a Core would serve.
func holds(t *testing.T, dir string) map[string]string {
	t.Helper()
	l, e, closed, err := openAsCore(t, dir)
	defer closed()
	if err != nil {
		t.Fatalf("no Core opens it: %v", err)
	}
	all := make(map[string]string)
	var c engine.Cursor
	for list := e.Scan(&c, 1000); len(list) > 0; list = e.Scan(&c, 1000) {
		for _, o := range list {
			r, _, err := l.Read(nil, o.Loc)
			testutil.Must(t, err)
			x, err := engine.DecodeObject(r.Body)
			testutil.Must(t, err)
			all[string(x.Name)] = string(x.Data)
		}
	}
	return all
}

// damage does something to a file of the store: what, and from where on.
func damage(t *testing.T, dir string, r *mrand.Rand) (file string, offset int64, what string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.seg", "*.seg", "*.seg", "*.ckp"} {
		some, err := filepath.Glob(filepath.Join(dir, pattern))
		testutil.Must(t, err)
		files = append(files, some...)
	}
	path := files[r.IntN(len(files))]
	p, err := os.ReadFile(path)
	testutil.Must(t, err)
	n := 1
	switch k := r.IntN(20); {
	case k < 12:
		offset, what = r.Int64N(int64(len(p))), "one byte is another"
	case k < 17:
		offset, n, what = r.Int64N(int64(len(p)))&^511, 512, "a sector is zeros"
	case k < 19:
		offset, what = r.Int64N(int64(len(p))), "the rest is missing"
		n = len(p)
	default:
		what, n = "it is missing", len(p)
	}
	for i := offset; i < min(offset+int64(n), int64(len(p))); i++ {
		if n == 1 {
			p[i] ^= byte(1 + r.IntN(255))
		} else {
			p[i] = 0
		}
	}
	switch what {
	case "it is missing":
		err = os.Remove(path)
	case "the rest is missing":
		err = os.Truncate(path, offset)
	default:
		err = os.WriteFile(path, p, 0o600)
	}
	testutil.Must(t, err)
	return filepath.Base(path), offset, what
}

// TestDamageCostsWhatLayThere damages stores at random, one place each, and
// salvages them. What the report does not name is there, as it was.
func TestDamageCostsWhatLayThere(t *testing.T) {
	w := makeWorld(t)
	if got := holds(t, w.copied(t)); !maps.Equal(got, w.now) {
		t.Fatalf("the store holds %d objects; want %d", len(got), len(w.now))
	}
	lost, silent := 0, 0
	for seed := range *damages {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := w.copied(t)
			file, offset, what := damage(t, dir, mrand.New(mrand.NewPCG(uint64(seed), 7)))
			r := w.salvage(t, dir)
			t.Logf("%s, offset %d: %s: %d damages, %d objects, %d changes, %v", file, offset, what, len(r.Damage), len(r.Gone), len(r.Changes), r.Unknown)
			if r.Hopeless != "" {
				t.Fatal(r.Hopeless)
			}
			// The last write is not known to have been one: nothing proves it. And a
			// checkpoint, or what nobody refers to, can be missing.
			last := file == w.newest && offset >= w.tail || file == w.newest && what == "the rest is missing" || what == "it is missing"
			if !r.Damaged() && !last {
				t.Error("the damage was not noticed")
			}
			if lost += len(r.Gone); !r.Damaged() {
				silent++
			}
			w.hold(t, holds(t, dir), r, last)
		})
	}
	t.Logf("%d stores, %d objects lost, %d damages that look like a crash", *damages, lost, silent)
}

// salvage verifies a store, salvages it, and verifies it again.
func (w *world) salvage(t *testing.T, dir string) *fsck.Report {
	t.Helper()
	root, err := server.ReadRootKey(filepath.Join(dir, "root.key"))
	testutil.Must(t, err)
	s, err := fsck.Open(dir, root, true)
	testutil.Must(t, err)
	defer s.Close()
	r, err := s.Check(context.Background(), nil)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if !r.Damaged() {
		return r
	}
	if _, err := s.Salvage(time.Now()); err != nil {
		t.Fatalf("salvage: %v", err)
	}
	testutil.Must(t, s.Close())
	s, err = fsck.Open(dir, root, false)
	testutil.Must(t, err)
	again, err := s.Check(context.Background(), nil)
	if err = errors.Join(err, s.Close()); err != nil || again.Damaged() || len(again.Notes) > 0 {
		t.Fatalf("what was salvaged: %v %+v", err, again)
	}
	return r
}

// hold compares a store with what it held and what it is said to have lost.
func (w *world) hold(t *testing.T, got map[string]string, r *fsck.Report, last bool) {
	t.Helper()
	gone := make(map[string]bool)
	for _, o := range r.Gone {
		gone[w.names[o.ID]] = true
		if o.Collection != "people" {
			t.Errorf("%+v", o)
		}
	}
	for name, data := range got {
		switch {
		case gone[name]:
			t.Errorf("%s is said to be gone, and there", name)
		case data == w.now[name]:
		case len(r.Unknown) > 0 && w.versions[name][data]: // it was said that this may be
		case last && w.versions[name][data]: // it looks like a crash before that
		default:
			t.Errorf("%s is %q; it was %q", name, line(data), line(w.now[name]))
		}
	}
	for name := range w.now {
		if _, ok := got[name]; !ok && !gone[name] && len(r.Unknown) == 0 && !last {
			t.Errorf("%s is gone, and nothing is said of it", name)
		}
	}
}

// TestSalvagedStoreIsServed: and its alert says that something is lost.
func TestSalvagedStoreIsServed(t *testing.T) {
	w := makeWorld(t)
	path := filepath.Join(w.data(), w.newest)
	p, err := os.ReadFile(path)
	testutil.Must(t, err)
	p[200] ^= 1 // in the first record
	testutil.Must(t, os.WriteFile(path, p, 0o600))
	if _, err := mottetest.Start(w.dir, testutil.Executables(t)); err == nil {
		t.Fatal("a damaged store was served")
	}
	r := w.salvage(t, w.data())
	s := serve(t, w.dir)
	c := s.dial()
	w.hold(t, contents(t, c, "people"), r, false)
	alerts, err := c.Alerts(context.Background())
	testutil.Must(t, err)
	if r.Loses() != slices.ContainsFunc(alerts, func(a client.Alert) bool { return client.ReasonName(a.Reason) == "loss-accepted" }) {
		t.Errorf("loses %v; alerts: %v", r.Loses(), alerts)
	}
	_, err = c.Put(context.Background(), "people", []byte("new"), client.Name("new"))
	testutil.Must(t, err)
	testutil.Must(t, c.Compact(context.Background()))
	s.stop()
	_ = holds(t, w.data())
}

// place finds the newest record of a kind behind the checkpoint.
func (w *world) place(t *testing.T, kind seglog.Kind) (at seglog.Location, lsn uint64) {
	t.Helper()
	root, err := server.ReadRootKey(filepath.Join(w.data(), "root.key"))
	testutil.Must(t, err)
	d, err := seglog.OpenDir(w.data())
	testutil.Must(t, err)
	defer d.Close()
	l, err := seglog.Open(d, root, rand.Read, nil)
	testutil.Must(t, err)
	testutil.Must(t, l.Restore(l.Checkpoints()[0], func(int, []byte) error { return nil }))
	testutil.Must(t, l.Replay(func(r seglog.Record, where seglog.Location) error {
		if r.Kind == kind {
			at, lsn = where, r.LSN
		}
		return nil
	}))
	return at, lsn
}

// spoil alters some bytes of a file.
func spoil(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	testutil.Must(t, err)
	p := make([]byte, 4)
	_, err = f.ReadAt(p, offset)
	testutil.Must(t, err)
	for i := range p {
		p[i] ^= 0x55
	}
	_, err = f.WriteAt(p, offset)
	testutil.Must(t, errors.Join(err, f.Close()))
}

// TestLostChangesAreNamed: of the catalogue, of a deletion, and those that nothing
// can be told of.
func TestLostChangesAreNamed(t *testing.T) {
	w := makeWorld(t)
	t.Run("change", func(t *testing.T) {
		at, lsn := w.place(t, seglog.KindCreateCollection)
		dir := w.copied(t)
		spoil(t, filepath.Join(dir, w.newest), int64(at.Offset)+100)
		r := w.salvage(t, dir)
		if len(r.Changes) != 1 || r.Changes[0].LSN != lsn || !strings.Contains(r.Changes[0].What, "a collection was made") || len(r.Gone)+len(r.Unknown) > 0 {
			t.Errorf("%+v", r)
		}
		w.hold(t, holds(t, dir), r, false)
	})
	t.Run("deletion", func(t *testing.T) {
		at, lsn := w.place(t, seglog.KindDelete)
		dir := w.copied(t)
		spoil(t, filepath.Join(dir, w.newest), int64(at.Offset)+100)
		r := w.salvage(t, dir)
		if len(r.Gone) != 1 || r.Gone[0].Why != fmt.Sprintf("record %d, which is damaged, deleted it", lsn) {
			t.Errorf("%+v", r)
		}
		if got := holds(t, dir); !maps.Equal(got, w.now) {
			t.Error("what was deleted is there again, or something else is not")
		}
	})
	t.Run("unknown", func(t *testing.T) {
		at, lsn := w.place(t, seglog.KindDelete)
		dir := w.copied(t)
		spoil(t, filepath.Join(dir, w.newest), int64(at.Offset)+40) // its head
		r := w.salvage(t, dir)
		if len(r.Unknown) != 1 || r.Unknown[0] != (fsck.Range{From: lsn, To: lsn}) || !r.Loses() {
			t.Errorf("%+v", r)
		}
	})
	t.Run("hopeless", func(t *testing.T) {
		dir := w.copied(t)
		list, err := filepath.Glob(filepath.Join(dir, "*.ckp"))
		testutil.Must(t, err)
		for _, path := range list {
			spoil(t, path, 60)
		}
		root, err := server.ReadRootKey(filepath.Join(dir, "root.key"))
		testutil.Must(t, err)
		s, err := fsck.Open(dir, root, true)
		testutil.Must(t, err)
		defer s.Close()
		r, err := s.Check(context.Background(), nil)
		if err != nil || r.Hopeless == "" || !r.Damaged() {
			t.Errorf("%v %+v", err, r)
		}
		if _, err := s.Salvage(time.Now()); !errors.Is(err, fsck.ErrHopeless) {
			t.Errorf("salvaged: %v", err)
		}
	})
}

// TestTheLossOfTheEndIsNotUnderstated: a newest segment that a checkpoint has seen, and
// that is missing or cut, held more than the objects which the checkpoint knows. How
// much more can't be known, and that is said, with the first record that may be lost.
func TestTheLossOfTheEndIsNotUnderstated(t *testing.T) {
	ctx := context.Background()
	w := &world{dir: t.TempDir()}
	s := serve(t, w.dir)
	c := s.dial()
	testutil.Must(t, c.CreateCollection(ctx, "people"))
	put := func(from, to int) {
		for i := from; i < to; i++ {
			_, err := c.Put(ctx, "people", noise(fmt.Sprint(i), 500), client.Name(fmt.Sprint("n", i)))
			testutil.Must(t, err)
		}
	}
	put(0, 20)
	testutil.Must(t, c.Compact(ctx)) // a segment that stays
	c.Close()
	s.stop()
	s = serve(t, w.dir)
	c = s.dial()
	put(20, 30)
	testutil.Must(t, c.Delete(ctx, "people", "n20"))
	testutil.Must(t, c.Compact(ctx)) // the newest checkpoint has seen nine objects in the newest segment
	put(30, 60)
	c.Close()
	s.stop()
	segments, err := filepath.Glob(filepath.Join(w.data(), "*.seg"))
	testutil.Must(t, err)
	newest := filepath.Base(segments[len(segments)-1])
	check := func(dir string) *fsck.Report {
		t.Helper()
		root, err := server.ReadRootKey(filepath.Join(dir, "root.key"))
		testutil.Must(t, err)
		s, err := fsck.Open(dir, root, false)
		testutil.Must(t, err)
		defer s.Close()
		r, err := s.Check(ctx, nil)
		testutil.Must(t, err)
		return r
	}
	whole := check(w.copied(t))
	if whole.Damaged() || whole.Open() || whole.CheckpointLSN == 0 || whole.CheckpointLSN >= whole.LSN ||
		!strings.Contains(whole.Unseen(), fmt.Sprintf("records %d to %d", whole.CheckpointLSN+1, whole.LSN)) {
		t.Fatalf("the whole store: %+v: %s", whole, whole.Unseen())
	}
	for name, spoil := range map[string]func(path string) error{
		"missing":      os.Remove,
		"cut":          func(path string) error { return os.Truncate(path, 2000) },
		"cut to none":  func(path string) error { return os.Truncate(path, 0) },
		"a bad header": func(path string) error { return write(path, 40, 8) },
		"a bad tail": func(path string) error { // from within what the checkpoint has seen
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return write(path, 3000, info.Size()-3000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := w.copied(t)
			testutil.Must(t, spoil(filepath.Join(dir, newest)))
			r := check(dir)
			if !r.Damaged() || !r.Loses() || !r.Open() {
				t.Errorf("damaged %v, loses %v, and it is said that more may be lost: %v", r.Damaged(), r.Loses(), r.Open())
			}
			for _, x := range r.Unknown {
				if x.To == 0 && (x.From > whole.LSN || x.From == 0) {
					t.Errorf("unknown is %v, but record %d is lost", x, whole.LSN)
				}
			}
			if known := len(r.Gone); known == 0 || known > 50 {
				t.Errorf("%d objects are known to be lost", known)
			}
			w := &world{dir: w.dir, now: map[string]string{}, names: map[string]string{}}
			w.salvage(t, dir)
			if r := check(dir); r.Damaged() {
				t.Errorf("what was salvaged is damaged: %+v", r)
			}
		})
	}
	t.Run("no checkpoint has seen it", func(t *testing.T) { // and so nothing tells, but this is said
		s := serve(t, w.dir)
		c := s.dial()
		_, err := c.Put(ctx, "people", []byte("data"), client.Name("one more"))
		testutil.Must(t, err)
		c.Close()
		s.stop()
		segments, err := filepath.Glob(filepath.Join(w.data(), "*.seg"))
		testutil.Must(t, err)
		dir := w.copied(t)
		testutil.Must(t, os.Remove(filepath.Join(dir, filepath.Base(segments[len(segments)-1]))))
		r := check(dir)
		if r.Damaged() || r.LSN != whole.LSN || !strings.Contains(r.Unseen(), fmt.Sprintf("record %d is the last one here", r.LSN)) {
			t.Errorf("%+v: %s", r, r.Unseen())
		}
	})
}

// write overwrites n bytes of a file.
func write(path string, offset, n int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(noise(path, int(n)), offset)
	return errors.Join(err, f.Close())
}

// TestVerifyLooksAtBothCopiesOfTheKeys: the loss of one costs nothing, but leaves the store with
// one copy, which an operator has to know.
func TestVerifyLooksAtBothCopiesOfTheKeys(t *testing.T) {
	w := makeWorld(t)
	for what, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"altered": func(path string) error {
			p, err := os.ReadFile(path)
			p[len(p)-1] ^= 1
			return errors.Join(err, os.WriteFile(path, p, 0o600))
		},
		"as it was": func(string) error { return nil },
	} {
		for _, name := range seglog.KeysNames {
			dir := w.copied(t)
			testutil.Must(t, spoil(filepath.Join(dir, name)))
			root, err := server.ReadRootKey(filepath.Join(dir, "root.key"))
			testutil.Must(t, err)
			s, err := fsck.Open(dir, root, false)
			testutil.Must(t, err)
			r, err := s.Check(context.Background(), nil)
			testutil.Must(t, errors.Join(err, s.Close()))
			if told := len(r.Notes) == 1 && strings.Contains(r.Notes[0], name); r.Damaged() || told == (what == "as it was") {
				t.Errorf("%s is %s: %+v", name, what, r)
			}
			if got := holds(t, dir); !maps.Equal(got, w.now) {
				t.Errorf("%s is %s: the store holds %d objects; want %d", name, what, len(got), len(w.now))
			}
		}
	}
}

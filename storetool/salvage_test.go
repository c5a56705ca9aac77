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

var damages = flag.Int("damages", 30, "number of stores that the damage test damages and salvages")

// world is a stopped store, with a record of its whole content.
type world struct {
	dir      string                     // directory of the store's directory data
	now      map[string]string          // present objects, by name
	names    map[string]string          // by identity
	versions map[string]map[string]bool // all contents that each name ever had
	tail     int64                      // offset of the last write in the newest segment
	newest   string
}

// makeWorld makes a store with segments of all kinds: with dead records, with relocated records,
// and, after the newest checkpoint, with records that replace and delete others.
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
	phases := []func(){func() { // each start makes a new segment
		testutil.Must(t, c.CreateCollection(ctx, "people"))
		for i := range 30 {
			put(fmt.Sprint("a", i))
		}
		for i := range 10 {
			put(fmt.Sprint("a", i))
			remove(fmt.Sprint("a", 29-i))
		}
	}, func() {
		for i := range 30 { // this segment has no dead record
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

// copied returns a copy of the store, as a stopped Core left it.
func (w *world) copied(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	testutil.Must(t, os.CopyFS(to, os.DirFS(w.data())))
	testutil.Must(t, os.Chmod(filepath.Join(to, "root.key"), 0o600))
	return to
}

// openAsCore opens a store like a Core, which accepts no damage.
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

// holds returns the objects that a Core would serve.
func holds(t *testing.T, dir string) map[string]string {
	t.Helper()
	l, e, closed, err := openAsCore(t, dir)
	defer closed()
	if err != nil {
		t.Fatalf("a Core can't open the store: %v", err)
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

// damage damages a file of the store. It returns the file, the offset and the kind of damage.
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
		offset, what = r.Int64N(int64(len(p))), "one byte is altered"
	case k < 17:
		offset, n, what = r.Int64N(int64(len(p)))&^511, 512, "a sector has zeros"
	case k < 19:
		offset, what = r.Int64N(int64(len(p))), "the rest is missing"
		n = len(p)
	default:
		what, n = "the file is missing", len(p)
	}
	for i := offset; i < min(offset+int64(n), int64(len(p))); i++ {
		if n == 1 {
			p[i] ^= byte(1 + r.IntN(255))
		} else {
			p[i] = 0
		}
	}
	switch what {
	case "the file is missing":
		err = os.Remove(path)
	case "the rest is missing":
		err = os.Truncate(path, offset)
	default:
		err = os.WriteFile(path, p, 0o600)
	}
	testutil.Must(t, err)
	return filepath.Base(path), offset, what
}

// TestDamageCostsWhatLayThere damages stores at random, in one place each, and salvages them.
// All objects that the report does not name must be there, unchanged.
func TestDamageCostsWhatLayThere(t *testing.T) {
	w := makeWorld(t)
	if got := holds(t, w.copied(t)); !maps.Equal(got, w.now) {
		t.Fatalf("the undamaged store holds %d objects; want %d", len(got), len(w.now))
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
			// Damage to the last write looks like a crash during it. A missing checkpoint, or a
			// missing file without references, is no damage.
			last := file == w.newest && offset >= w.tail || file == w.newest && what == "the rest is missing" || what == "the file is missing"
			if !r.Damaged() && !last {
				t.Error("verify did not notice the damage")
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
		t.Fatalf("the salvaged store does not verify: %v %+v", err, again)
	}
	return r
}

// hold compares a salvaged store with its former objects and the reported losses.
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
			t.Errorf("%s is reported as lost, but is there", name)
		case data == w.now[name]:
		case len(r.Unknown) > 0 && w.versions[name][data]: // the report says that this may happen
		case last && w.versions[name][data]: // the damage looks like a crash before this write
		default:
			t.Errorf("%s has %q; want %q, as before, since the report does not name it", name, line(data), line(w.now[name]))
		}
	}
	for name := range w.now {
		if _, ok := got[name]; !ok && !gone[name] && len(r.Unknown) == 0 && !last {
			t.Errorf("%s is lost, but the report does not name it", name)
		}
	}
}

// TestSalvagedStoreIsServed, and an alert records the loss.
func TestSalvagedStoreIsServed(t *testing.T) {
	w := makeWorld(t)
	path := filepath.Join(w.data(), w.newest)
	p, err := os.ReadFile(path)
	testutil.Must(t, err)
	p[200] ^= 1 // alter the first record
	testutil.Must(t, os.WriteFile(path, p, 0o600))
	if _, err := mottetest.Start(w.dir, testutil.Executables(t)); err == nil {
		t.Fatal("a damaged store was served; want it refused")
	}
	r := w.salvage(t, w.data())
	s := serve(t, w.dir)
	c := s.dial()
	w.hold(t, contents(t, c, "people"), r, false)
	alerts, err := c.Alerts(context.Background())
	testutil.Must(t, err)
	if r.Loses() != slices.ContainsFunc(alerts, func(a client.Alert) bool { return client.ReasonName(a.Reason) == "loss-accepted" }) {
		t.Errorf("the report loses data: %v; the alerts are %v; want loss-accepted exactly if it does", r.Loses(), alerts)
	}
	_, err = c.Put(context.Background(), "people", []byte("new"), client.Name("new"))
	testutil.Must(t, err)
	testutil.Must(t, c.Compact(context.Background()))
	s.stop()
	_ = holds(t, w.data())
}

// place finds the newest record of a kind after the checkpoint.
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

// TestLostChangesAreNamed: lost changes of the catalogue, lost deletions, and unreadable
// records.
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
			t.Error("the salvaged store differs from the undamaged one; want no difference, since the lost record deleted the object")
		}
	})
	t.Run("unknown", func(t *testing.T) {
		at, lsn := w.place(t, seglog.KindDelete)
		dir := w.copied(t)
		spoil(t, filepath.Join(dir, w.newest), int64(at.Offset)+40) // the head of the record
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
			t.Errorf("verify returns %v %+v; want damage that can't be salvaged", err, r)
		}
		if _, err := s.Salvage(time.Now()); !errors.Is(err, fsck.ErrHopeless) {
			t.Errorf("salvaged: %v", err)
		}
	})
}

// TestTheLossOfTheEndIsNotUnderstated: the newest segment, which a checkpoint knows, is missing or
// cut short. It may have had more objects than the checkpoint knows. The report must say that the
// loss is unknown, and name the first record that may be lost.
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
	testutil.Must(t, c.Compact(ctx)) // makes a segment that stays
	c.Close()
	s.stop()
	s = serve(t, w.dir)
	c = s.dial()
	put(20, 30)
	testutil.Must(t, c.Delete(ctx, "people", "n20"))
	testutil.Must(t, c.Compact(ctx)) // the newest checkpoint covers nine objects of the newest segment
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
		t.Fatalf("the undamaged store: %+v: %s", whole, whole.Unseen())
	}
	for name, spoil := range map[string]func(path string) error{
		"missing":         os.Remove,
		"cut":             func(path string) error { return os.Truncate(path, 2000) },
		"cut to no bytes": func(path string) error { return os.Truncate(path, 0) },
		"a bad header":    func(path string) error { return write(path, 40, 8) },
		"a bad tail": func(path string) error { // begins in the part that the checkpoint covers
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
				t.Errorf("damaged: %v, loses data: %v, more may be lost: %v; want true for all", r.Damaged(), r.Loses(), r.Open())
			}
			for _, x := range r.Unknown {
				if x.To == 0 && (x.From > whole.LSN || x.From == 0) {
					t.Errorf("the unknown records are %v, which do not include the lost record %d", x, whole.LSN)
				}
			}
			if known := len(r.Gone); known == 0 || known > 50 {
				t.Errorf("the report names %d lost objects; want those that the checkpoint knows", known)
			}
			w := &world{dir: w.dir, now: map[string]string{}, names: map[string]string{}}
			w.salvage(t, dir)
			if r := check(dir); r.Damaged() {
				t.Errorf("the salvaged store is damaged: %+v", r)
			}
		})
	}
	t.Run("no checkpoint covers it", func(t *testing.T) { // verify can't detect the loss, but says so
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

// TestVerifyLooksAtBothCopiesOfTheKeys: the loss of one copy costs no data. But the store then
// has a single copy, which the operator must know.
func TestVerifyLooksAtBothCopiesOfTheKeys(t *testing.T) {
	w := makeWorld(t)
	for what, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"altered": func(path string) error {
			p, err := os.ReadFile(path)
			p[len(p)-1] ^= 1
			return errors.Join(err, os.WriteFile(path, p, 0o600))
		},
		"unchanged": func(string) error { return nil },
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
			if told := len(r.Notes) == 1 && strings.Contains(r.Notes[0], name); r.Damaged() || told == (what == "unchanged") {
				t.Errorf("%s is %s: %+v", name, what, r)
			}
			if got := holds(t, dir); !maps.Equal(got, w.now) {
				t.Errorf("%s is %s: the store holds %d objects; want %d", name, what, len(got), len(w.now))
			}
		}
	}
}

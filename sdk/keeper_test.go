package sdk_test

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/core/taskwire"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// kept is an index of texts that keeps its entries. It refuses the text "bad" and skips the empty
// text.
type kept struct {
	held     map[sdk.Value]entry
	restored int
	ready    int
}

type entry struct {
	id    sdk.Identity
	owner sdk.Owner
	text  string
}

func (x *kept) Configure(sdk.Config) error {
	x.held = make(map[sdk.Value]entry)
	return nil
}

func (x *kept) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		v := c.Identity.Value()
		delete(x.held, v)
		switch {
		case c.Remove:
		case string(c.Input) == "bad":
			c.Refuse()
		case len(c.Input) == 0:
			c.Skip()
		default:
			x.held[v] = entry{c.Identity, c.Owner, string(c.Input)}
		}
	}
}

// Search finds the objects whose texts contain the predicate.
func (x *kept) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	var found []sdk.Identity
	for _, e := range x.held {
		if q.Wants(e.owner) && strings.Contains(e.text, string(q.Predicate)) {
			found = append(found, e.id)
		}
	}
	return sdk.Sorted(found, q.After)
}

func (x *kept) Entry(v sdk.Value) (sdk.Entry, bool) {
	e, ok := x.held[v]
	return sdk.Entry{Identity: e.id, Owner: e.owner, Data: []byte(e.text)}, ok
}

func (x *kept) Restore(e sdk.Entry) bool {
	x.restored++
	if len(e.Data) == 0 || string(e.Data) == "bad" {
		delete(x.held, e.Identity.Value())
		return false
	}
	x.held[e.Identity.Value()] = entry{e.Identity, e.Owner, string(e.Data)}
	return true
}

func (x *kept) Restored() { x.ready++ }

// snapped is the same index, written as a whole.
type snapped struct{ kept }

// Entry and Restore hide those of kept: snapped is no Keeper.
func (x *snapped) Entry()   {}
func (x *snapped) Restore() {}

// plain is the same index, and keeps nothing.
type plain struct{ kept }

func (x *plain) Entry()   {}
func (x *plain) Restore() {}

func (x *snapped) Save(w io.Writer) error {
	for _, v := range slices.SortedFunc(maps.Keys(x.held), func(a, b sdk.Value) int { return bytes.Compare(a[:], b[:]) }) {
		e := x.held[v]
		if _, err := fmt.Fprintf(w, "%x %d %q\n", e.id[:], e.owner, e.text); err != nil {
			return err
		}
	}
	return nil
}

func (x *snapped) Load(r io.Reader) error {
	for {
		var id []byte
		var e entry
		if _, err := fmt.Fscanf(r, "%x %d %q\n", &id, &e.owner, &e.text); err == io.EOF {
			return nil
		} else if err != nil || len(id) != len(e.id) {
			clear(x.held)
			return fmt.Errorf("loading: %w", err)
		}
		e.id = sdk.Identity(id)
		x.held[e.id.Value()] = e
	}
}

func (x *snapped) Held() iter.Seq[sdk.Identity] {
	return func(yield func(sdk.Identity) bool) {
		for _, e := range x.held {
			if !yield(e.id) {
				return
			}
		}
	}
}

var (
	_ sdk.BulkKeeper  = &kept{}
	_ sdk.Snapshotter = &snapped{}
)

// shelved is a configuration with a shelf.
func shelved(quota int64) sdk.Config {
	c := config
	c.Shelf = quota
	return c
}

// TestSavedEntriesAreNotFedAgain: after a restart the index gets only the objects that have changed
// since the last saving.
func TestSavedEntriesAreNotFedAgain(t *testing.T) {
	for name, start := range map[string]func() sdk.Index{
		"entries":  func() sdk.Index { return &kept{} },
		"snapshot": func() sdk.Index { return &snapped{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := sdktest.Start(t, start(), shelved(1<<24))
			c.InsertAll(0, slices.Repeat([]string{"text"}, 5000))
			c.InsertOf(7, sdktest.ID(5000), "of another owner")
			c.Insert(sdktest.ID(5001), "bad")
			c.Insert(sdktest.ID(5002), "")
			c.Void(sdktest.ID(5003))
			c.Save()
			c.Insert(sdktest.Version(3, 1), "new")
			c.Remove(sdktest.ID(4))
			c.Insert(sdktest.ID(5004), "new")
			c, fed := c.Restart(start())
			slices.SortFunc(fed, sdk.Identity.Compare)
			want := []sdk.Identity{sdktest.Version(3, 1), sdktest.ID(5004)}
			slices.SortFunc(want, sdk.Identity.Compare)
			if !slices.Equal(fed, want) {
				t.Errorf("%d objects are fed, want the two that have changed", len(fed))
			}
			if found, err := c.Search("", 10_000); err != nil || len(found) != 5001 {
				t.Errorf("%d objects are found, %v; want 5001", len(found), err)
			}
			found, _, err := c.Ask(sdk.Query{Owner: 7, Limit: 10})
			if err != nil || !slices.Equal(found, []sdk.Identity{sdktest.ID(5000)}) {
				t.Errorf("the owner 7 has %x, %v; want one object", found, err)
			}
		})
	}
}

// TestRestoredComesOnceAfterTheEntries: and not at all if there are none.
func TestRestoredComesOnceAfterTheEntries(t *testing.T) {
	c := sdktest.Start(t, &kept{}, shelved(1<<20))
	x := &kept{}
	c, _ = c.Restart(x)
	if x.ready != 0 {
		t.Errorf("Restored is called %d times without an entry", x.ready)
	}
	c.InsertAll(0, []string{"a", "b"})
	c.Save()
	x = &kept{}
	c, _ = c.Restart(x)
	if _, err := c.Search("", 10); err != nil || x.restored != 2 || x.ready != 1 {
		t.Errorf("%d entries are restored, and Restored is called %d times; want 2 and 1", x.restored, x.ready)
	}
}

// TestLargeEntriesAreLeftOut: an entry that fits no blob is fed at each start. It keeps no other entry
// from the shelf.
func TestLargeEntriesAreLeftOut(t *testing.T) {
	c := sdktest.Start(t, &kept{}, shelved(1<<24))
	largest := strings.Repeat("x", taskwire.MaxBlob-200)
	c.Insert(sdktest.ID(1), "small")
	c.Save()
	c.Insert(sdktest.ID(1), largest+strings.Repeat("x", 200))
	c.Insert(sdktest.ID(2), largest)
	c.Insert(sdktest.ID(3), "small")
	for range 3 {
		c.Save()
		c.Insert(sdktest.ID(4), "small")
	}
	c.Save()
	c, fed := c.Restart(&kept{})
	if !slices.Equal(fed, []sdk.Identity{sdktest.ID(1)}) {
		t.Errorf("%d objects are fed, want the one of the large entry", len(fed))
	}
	if found, err := c.Search("", 10); err != nil || len(found) != 4 {
		t.Errorf("%d objects are found (%v), want 4", len(found), err)
	}
}

// history is a random history of an index, beside a model of the collection.
type history struct {
	start   func() sdk.Index
	core    *sdktest.Core
	model   map[int]string // texts; missing: no object
	version map[int]int
	changed map[sdk.Value]bool // since the last saving that was not cut short
	old     []map[uint64][]byte
	strict  bool // the quota is large, and no blob was changed
}

func (h *history) change(t *rapid.T) {
	for range rapid.IntRange(1, 30).Draw(t, "changes") {
		n := rapid.IntRange(0, 300).Draw(t, "object")
		h.changed[sdktest.ID(n).Value()] = true
		if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
			if _, ok := h.model[n]; ok {
				h.core.Remove(sdktest.Version(n, h.version[n]))
				delete(h.model, n)
			}
			continue
		}
		h.version[n]++
		text := rapid.SampledFrom([]string{"a", "bad", "", "void", strings.Repeat("long ", 100)}).Draw(t, "text")
		h.model[n] = text
		if id := sdktest.Version(n, h.version[n]); text == "void" {
			h.core.Void(id)
		} else {
			h.core.Insert(id, text)
		}
	}
}

func (h *history) save(*rapid.T) {
	h.core.Save()
	clear(h.changed)
	h.old = append(h.old, maps.Clone(h.core.Blobs()))
}

// saveSome is a saving with little room, that ends after a few blobs.
func (h *history) saveSome(t *rapid.T) {
	for range rapid.IntRange(0, 5).Draw(t, "steps") {
		room := rapid.SampledFrom([]int{0, 1, 4079, 4080, 5000, 20_000, taskwire.MaxBlob}).Draw(t, "room")
		if _, ended := h.core.SaveStep(room); ended {
			return
		}
	}
	h.core.SaveStep(0)
}

// damage changes the shelf as no honest Core does. It alters no entry: the Core could not notice
// that.
func (h *history) damage(t *rapid.T) {
	blobs := h.core.Blobs()
	for _, n := range slices.Sorted(maps.Keys(blobs)) {
		switch rapid.IntRange(0, 8).Draw(t, "damage") {
		case 0:
			delete(blobs, n)
		case 1:
			blobs[n] = blobs[n][:rapid.IntRange(1, len(blobs[n])).Draw(t, "length")]
		case 2:
			blobs[n] = slices.Clone(blobs[n])
			head := min(1+8, len(blobs[n])) // the kind, and the number of the circle or of the snapshot
			copy(blobs[n][rapid.IntRange(0, head).Draw(t, "place"):head], rapid.SliceOfN(rapid.Byte(), head, head).Draw(t, "garbage"))
		case 3:
			blobs[n] = blobs[rapid.SampledFrom(slices.Sorted(maps.Keys(blobs))).Draw(t, "another")]
		}
	}
	h.strict = false
}

// rollBack gives the index an older shelf.
func (h *history) rollBack(t *rapid.T) {
	if len(h.old) > 0 {
		clear(h.core.Blobs())
		maps.Copy(h.core.Blobs(), rapid.SampledFrom(h.old).Draw(t, "shelf"))
		h.strict = false
	}
}

func (h *history) restart(t *rapid.T) {
	var fed []sdk.Identity
	h.core, fed = h.core.Restart(h.start())
	for _, id := range fed {
		if h.strict && !h.changed[id.Value()] {
			t.Fatalf("%x is fed, but has not changed since the last saving", id)
		}
		h.changed[id.Value()] = true
	}
	if rapid.Bool().Draw(t, "search") {
		h.check(t)
	}
}

func (h *history) check(t *rapid.T) {
	for _, part := range []string{"", "a", "long"} {
		var want []sdk.Identity
		for n, text := range h.model {
			if text != "bad" && text != "" && text != "void" && strings.Contains(text, part) {
				want = append(want, sdktest.Version(n, h.version[n]))
			}
		}
		slices.SortFunc(want, sdk.Identity.Compare)
		if found, err := h.core.Search(part, 1000); err != nil || !slices.Equal(found, want) {
			t.Fatalf("%q finds %d objects (%v), want %d", part, len(found), err, len(want))
		}
	}
}

// scope ends the indexes of one history.
type scope struct {
	testing.TB
	ends []func()
}

func (s *scope) Cleanup(end func()) { s.ends = append(s.ends, end) }

func (s *scope) end() {
	for _, end := range slices.Backward(s.ends) {
		end()
	}
}

// TestRandomHistories: whatever happens to the shelf, the index equals the model after a restart.
// If nothing happens to it, only the objects are fed that have changed since the last saving.
func TestRandomHistories(t *testing.T) {
	for _, c := range []struct {
		name   string
		quota  int64
		damage bool
		strict bool
		start  func() sdk.Index
	}{
		{"entries", 1 << 24, false, true, func() sdk.Index { return &kept{} }},
		{"entries, damaged", 1 << 24, true, false, func() sdk.Index { return &kept{} }},
		{"entries, small quota", 40 << 10, true, false, func() sdk.Index { return &kept{} }},
		{"entries, least quota", 16 << 10, true, false, func() sdk.Index { return &kept{} }},
		{"no quota to speak of", 1, true, false, func() sdk.Index { return &kept{} }},
		{"snapshots", 1 << 24, true, false, func() sdk.Index { return &snapped{} }},
		{"snapshots, small quota", 100 << 10, true, false, func() sdk.Index { return &snapped{} }},
		{"keeps nothing", 1 << 20, true, false, func() sdk.Index { return &plain{} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := &scope{TB: t}
				defer s.end()
				h := &history{start: c.start, core: sdktest.Start(s, c.start(), shelved(c.quota)), model: make(map[int]string),
					version: make(map[int]int), changed: make(map[sdk.Value]bool), strict: c.strict}
				actions := map[string]func(*rapid.T){"change": h.change, "save": h.save, "save some": h.saveSome, "restart": h.restart,
					"check": h.check, "forget": func(*rapid.T) { h.core.Forget(); h.save(rt) }}
				if c.damage {
					actions["damage"] = func(t *rapid.T) { h.damage(t); h.restart(t) }
					actions["roll back"] = func(t *rapid.T) { h.rollBack(t); h.restart(t) }
				}
				rt.Repeat(actions)
				h.restart(rt)
				h.check(rt)
			})
		})
	}
}

package seglog

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"motte/internal/testutil"
)

// salvage opens a store, and accepts its damage.
func salvage(t testing.TB, d *disk) *world {
	t.Helper()
	w, err := openWith(d, 9, true)
	testutil.Must(t, err)
	return w
}

// lsns lists the replayed records, except relocated ones.
func (w *world) lsns() (list []uint64) {
	for _, r := range w.replayed {
		if r.Sealed == nil {
			list = append(list, r.LSN)
		}
	}
	return list
}

// without lists the records of a store, except some.
func without(lost ...uint64) (list []uint64) {
	for lsn := range uint64(storeRecords) {
		if !slices.Contains(lost, lsn+1) {
			list = append(list, lsn+1)
		}
	}
	return list
}

// TestDamagedRecordCostsItselfAlone damages each part of each record, in each position of a
// segment. Only that record is lost. But damage in the last write of the newest segment looks
// like a torn write, which ends the log.
func TestDamagedRecordCostsItselfAlone(t *testing.T) {
	good := store(t)
	lsn, names := uint64(0), good.names(segmentSuffix)
	for _, name := range names {
		at := recordsOf(good.files[name])
		for i, start := range at[:len(at)-1] {
			lsn++
			if name == names[len(names)-1] && start >= lastWriteAt(good.files[name]) {
				continue
			}
			for part, offset := range map[string]int{"magic": 0, "flags": 3, "length": 6, "LSN": 15, "salt": 20, "head": 40, "head's seal": 90, "body's seal": at[i+1] - start - 1} {
				d := good.clone()
				d.files[name][start+offset] ^= 1
				w := salvage(t, d)
				if got, want := w.lsns(), without(lsn); !slices.Equal(got, want) || !w.authentic() {
					t.Fatalf("record %d, %s: left %v", lsn, part, got)
				}
				if w.damage[0].File != name || w.damage[0].Offset != int64(start) {
					t.Errorf("record %d, %s: reported as %v", lsn, part, w.damage[0])
				}
				if _, err := open(d, 9); !errors.Is(err, ErrDamaged) {
					t.Errorf("record %d, %s: the damaged store opens without accepting damage: %v", lsn, part, err)
				}
			}
		}
	}
}

// TestSeveralDamagedRecords damages every other record, and all records of a segment.
func TestSeveralDamagedRecords(t *testing.T) {
	good := store(t)
	const name = "00000002.seg"
	at := recordsOf(good.files[name])
	first := mustOpen(t, good.clone(), 9).l.segments[2].firstLSN
	for _, step := range []int{1, 2, 3} {
		var lost []uint64
		d := good.clone()
		for i := 0; i < len(at)-1; i += step {
			d.files[name][at[i]+40] ^= 1
			lost = append(lost, first+uint64(i))
		}
		if got, want := salvage(t, d).lsns(), without(lost...); !slices.Equal(got, want) {
			t.Errorf("every %d.: left %v, want %v", step, got, want)
		}
	}
}

// TestDamagedHeaderCostsItsSegment: if any byte of a header, or the whole file, is damaged, only
// this segment is lost. Later writes go to a new segment, which opens like the others.
func TestDamagedHeaderCostsItsSegment(t *testing.T) {
	good := store(t)
	starts := mustOpen(t, good.clone(), 9).l.history
	for n, name := range good.names(segmentSuffix) {
		var lost []uint64
		for lsn := starts[n].LSN; lsn <= storeRecords && (n == 2 || lsn < starts[n+1].LSN); lsn++ {
			lost = append(lost, lsn)
		}
		left := func(what string, d *disk) {
			t.Helper()
			w := salvage(t, d)
			if got, want := w.lsns(), without(lost...); !slices.Equal(got, want) || !w.authentic() {
				t.Fatalf("%s, %s: left %v", name, what, got)
			}
			if len(w.damage) == 0 && n < 2 {
				t.Errorf("%s, %s: not reported", name, what)
			}
			r := Record{LSN: w.l.Position().LSN + 1, Kind: KindAlert}
			testutil.Must(t, w.append(Group{r}))
			again := salvage(t, d)
			if got, want := again.lsns(), append(without(lost...), r.LSN); !slices.Equal(got, want) {
				t.Fatalf("%s, %s, and one more: left %v", name, what, got)
			}
		}
		for i := 0; i < headerSize; i += 3 { // except the version: see TestOtherVersions
			d := good.clone()
			d.files[name][i] ^= 1
			left(fmt.Sprint("byte ", i), d)
		}
		d := good.clone()
		delete(d.files, name)
		left("missing", d)
		d = good.clone()
		d.files[name] = d.files[name][:headerSize-1]
		left("cut", d)
	}
}

// TestCutSegmentsCostTheirEnd: a segment that is cut short loses the records after the cut, and
// an incomplete one. No record of later segments is lost.
func TestCutSegmentsCostTheirEnd(t *testing.T) {
	good := store(t)
	starts := mustOpen(t, good.clone(), 9).l.history
	for n, name := range good.names(segmentSuffix)[:2] {
		at := recordsOf(good.files[name])
		for cut := headerSize; cut < len(good.files[name]); cut += 8 {
			d := good.clone()
			d.files[name] = d.files[name][:cut]
			got := salvage(t, d).lsns()
			kept := starts[n].LSN - 1
			for i := range at[1:] {
				if at[i+1] <= cut {
					kept++
				}
			}
			var want []uint64
			for _, lsn := range without() {
				if lsn <= kept || lsn >= starts[n+1].LSN {
					want = append(want, lsn)
				}
			}
			if half := slices.DeleteFunc(slices.Clone(want), func(lsn uint64) bool { return lsn == kept }); !slices.Equal(got, want) && !slices.Equal(got, half) {
				t.Fatalf("%s cut to %d: left %v, want %v", name, cut, got, want)
			}
		}
	}
}

// TestSalvageOfWhatWasCarried: relocated records, and those between them, are lost only
// individually.
func TestSalvageOfWhatWasCarried(t *testing.T) {
	good := store(t)
	w := mustOpen(t, good, 3)
	testutil.Must(t, w.write(2), w.carry(1), w.write(2), w.carry(2), w.write(1), w.write(1))
	all := mustOpen(t, good.clone(), 4)
	const name = "00000004.seg"
	at := recordsOf(good.files[name])
	count := len(all.replayed)
	for i, start := range at[:len(at)-2] {
		for _, offset := range []int{5, 40, at[i+1] - start - 1} {
			d := good.clone()
			d.files[name][start+offset] ^= 1
			if w := salvage(t, d); len(w.replayed) != count-1 || len(w.damage) == 0 || w.damage[0].Offset != int64(start) || w.l.Position().LSN != all.l.Position().LSN {
				t.Fatalf("record %d of the segment: %d of %d are left, position at record %d, %v", i, len(w.replayed), count, w.l.Position().LSN, w.damage)
			}
		}
	}
}

// TestSalvageStopsWhenAsked: an error of the function ends the salvage.
func TestSalvageStopsWhenAsked(t *testing.T) {
	d := store(t)
	d.files["00000002.seg"][headerSize+40] ^= 1
	d.files["00000002.seg"][len(d.files["00000002.seg"])-1] ^= 1
	stop := errors.New("enough")
	asked := 0
	l, err := Open(d, root, random{}.Read, func(*DamageError) error {
		asked++
		return stop
	})
	testutil.Must(t, err, l.Restore(0, nil))
	if err := l.Replay(func(Record, Location) error { return nil }); !errors.Is(err, stop) || asked != 1 {
		t.Errorf("the function was called %d times, %v; want once", asked, err)
	}
}

// TestRecordThatCannotBeApplied counts as damage, and is named.
func TestRecordThatCannotBeApplied(t *testing.T) {
	for _, accept := range []bool{false, true} {
		d := store(t)
		w, err := newWorld(d, d, 9, accept)
		testutil.Must(t, err, w.l.Restore(0, nil))
		at := recordsOf(d.files["00000001.seg"])[2]
		err = w.l.Replay(func(r Record, at Location) error {
			if r.LSN == 3 {
				return errors.New("it makes no sense")
			}
			return w.apply(r, at)
		})
		var damage *DamageError
		if accept && err == nil && len(w.damage) == 1 {
			damage = w.damage[0]
		} else if !accept {
			errors.As(err, &damage)
		}
		if damage == nil || damage.File != "00000001.seg" || damage.Offset != int64(at) {
			t.Errorf("accepted %v: %v, %v", accept, err, w.damage)
		}
	}
}

// TestSalvageFromACheckpoint: damage in segments that a checkpoint needs is accepted, too.
func TestSalvageFromACheckpoint(t *testing.T) {
	good := settled(t)
	want := mustOpen(t, good.clone(), 9)
	for _, name := range good.names(segmentSuffix) {
		for what, alter := range map[string]func(p []byte) []byte{
			"missing": func([]byte) []byte { return nil },
			"cut":     func(p []byte) []byte { return p[:headerSize+8] },
			"header":  func(p []byte) []byte { p[50] ^= 1; return p },
		} {
			d := good.clone()
			if p := alter(d.files[name]); p != nil {
				d.files[name] = p
			} else {
				delete(d.files, name)
			}
			w := salvage(t, d)
			lost := 0
			for _, o := range want.objects {
				if segmentName(o.at.Segment) == name {
					lost++
				}
			}
			for v, o := range w.objects {
				r, _, err := w.l.Read(nil, o.at)
				if err == nil && !equal(r, record(o.lsn)) {
					t.Errorf("%s %s: object %d has another version than before", name, what, v[0])
				} else if err != nil {
					lost--
				}
			}
			if lost < 0 {
				t.Errorf("%s %s: %d more objects are lost than the damage explains", name, what, -lost)
			}
		}
	}
}

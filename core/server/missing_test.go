package server

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seal"
	"motte/core/seglog"
	"motte/core/wire"
)

// TestDamageIsFoundInTwoReads in a row, also if earlier reads failed otherwise, or if a single try
// is allowed: then one read is added.
func TestDamageIsFoundInTwoReads(t *testing.T) {
	damage, disk := &seglog.DamageError{File: "a segment"}, syscall.EIO
	for _, c := range []struct {
		name  string
		tries int
		reads []error // the result of each read
		want  error
	}{
		{"a flipped bit", 4, []error{damage, nil}, nil},
		{"damage", 4, []error{damage, damage}, damage},
		{"a flipped bit after failed reads", 4, []error{disk, disk, disk, damage, nil}, nil},
		{"damage after failed reads", 4, []error{disk, disk, disk, damage, damage}, damage},
		{"a flipped bit between failed reads", 4, []error{damage, disk, damage, disk}, disk},
		{"a flipped bit before the disk fails", 4, []error{disk, disk, disk, damage, disk}, disk},
		{"a flipped bit, with one try", 1, []error{damage, nil}, nil},
		{"damage, with one try", 1, []error{damage, damage}, damage},
		{"a failed read, with one try", 1, []error{disk}, disk},
		{"a record that moved", 4, []error{damage, seglog.ErrMoved}, seglog.ErrMoved},
	} {
		synctest.Test(t, func(t *testing.T) {
			reads := 0
			err := retry(c.tries, func() error {
				if reads++; reads > len(c.reads) {
					return nil
				}
				return c.reads[reads-1]
			})
			if err != c.want || reads != len(c.reads) {
				t.Errorf("%s: error %v after %d reads; want %v after %d", c.name, err, reads, c.want, len(c.reads))
			}
		})
	}
}

// reasons lists the reasons of all alerts.
func (r *rig) reasons() (reasons []model.Reason) {
	r.t.Helper()
	synctest.Wait() // wait for alerts that are being written
	for _, body := range bodies(r.must(model.OK, request(0, model.OpAlerts, "", "", ""))) {
		a, err := frames.DecodeAlert(body)
		if err != nil {
			r.t.Fatal(err)
		}
		reasons = append(reasons, a.Reason)
	}
	return reasons
}

// entry returns the entry of an object in the mapping.
func (r *rig) entry(name string) mapping.Entry {
	r.t.Helper()
	return found(r.must(model.OK, request(0, model.OpGet, "c", name, "")))
}

// show sends an answer like a connection, and returns its frames: the name of each object, or
// the identity and the code of a missing one; and the end.
func (r *rig) show(a engine.Reply) (list []string, end wire.ReplyHeader) {
	r.t.Helper()
	w := r.conn
	w.p = nil
	for !w.send(&a) {
	}
	for p := w.p; len(p) > 0; {
		h, code := frames.DecodeReplyHeader(p[:wire.ReplyHeaderSize])
		if code != model.OK {
			r.t.Fatalf("a frame can't be decoded: code %d", code)
		}
		body := p[wire.ReplyHeaderSize:][:h.BodyLen]
		p = p[wire.ReplyHeaderSize+h.BodyLen:]
		switch h.Kind {
		case wire.KindObject:
			o, err := frames.DecodeObject(body)
			if err != nil {
				r.t.Fatal(err)
			}
			list = append(list, string(o.Name))
		case wire.KindMissing:
			id, code, err := frames.DecodeMissing(body)
			if err != nil {
				r.t.Fatal(err)
			}
			list = append(list, missing(id, code))
		case wire.KindEnd:
			end = h
		}
		if (len(p) == 0) != (h.Flags&wire.ReplyLast != 0) {
			r.t.Fatal("the flag of the last frame is not exactly on the last frame")
		}
	}
	w.p = nil
	return list, end
}

func missing(id identity.ID, code model.Code) string { return fmt.Sprintf("%x %d", id[:4], code) }

// TestAReadThatFailsOnceIsNoDamage: a record counts as damaged only if two reads found damage.
// If a read fails, it is repeated, and the record may still be intact. The client is told to try
// again, and an alert is recorded, at most once a minute.
func TestAReadThatFailsOnceIsNoDamage(t *testing.T) {
	flip := func(p []byte) error { p[len(p)/2] ^= 1; return nil }
	disk := func([]byte) error { return syscall.EIO }
	short := func([]byte) error { return io.ErrUnexpectedEOF }
	for _, c := range []struct {
		name  string
		spoil func(p []byte) error
		times int
		want  model.Code
		alert []model.Reason
	}{
		{"a bit flips once", flip, 1, model.OK, nil},
		{"a read is short once", short, 1, model.OK, nil},
		{"the disk fails once", disk, 1, model.OK, nil},
		{"the disk fails thrice", disk, 3, model.OK, nil},
		{"the disk fails", disk, 1 << 20, model.ReadFailed, []model.Reason{model.ReasonReadFailed}},
		{"a bit stays flipped", flip, 1 << 20, model.Damaged, []model.Reason{model.ReasonDamagedRecord}},
		{"the file was cut", short, 1 << 20, model.Damaged, []model.Reason{model.ReasonDamagedRecord}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := filledRig(t)
				defer r.close()
				left := c.times
				r.disk.spoiled(func(name string, p []byte) error {
					if left--; left < 0 || !strings.HasSuffix(name, ".seg") {
						return nil
					}
					return c.spoil(p)
				})
				o := r.entry("one")
				for range 3 {
					if code := r.conn.object(wire.ReplyHeader{Kind: wire.KindObject}, o, true); code != c.want {
						t.Fatalf("code %d, want %d", code, c.want)
					}
				}
				if got := r.reasons(); !slices.Equal(got, c.alert) {
					t.Errorf("alerts for reasons %d, want %d", got, c.alert)
				}
				time.Sleep(2 * time.Minute)
				r.runOnEngine(func(e *engine.Engine) { e.Tick(time.Now()) })
				r.conn.object(wire.ReplyHeader{Kind: wire.KindObject}, o, true)
				if n := len(r.reasons()) - len(c.alert); n > 0 != (c.want == model.ReadFailed) {
					t.Errorf("%d alerts more, two minutes later", n)
				}
				r.disk.spoiled(nil)
				if code := r.conn.object(wire.ReplyHeader{Kind: wire.KindObject}, o, true); code != model.OK {
					t.Errorf("the disk returns the record again, but the code is %d", code)
				}
			})
		})
	}
}

// TestACompactionGoesOnWhenReadsDo: it needs no restart, and no alert reports damage.
func TestACompactionGoesOnWhenReadsDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.fillSegments(3)
		r.all.Go(func() { r.maintain(r.ctx) })
		r.disk.spoiled(func(name string, p []byte) error {
			if strings.HasSuffix(name, ".seg") {
				return syscall.EIO
			}
			return nil
		})
		r.must(model.StorageFailed, request(0, model.OpCompact, "", "", ""))
		r.disk.spoiled(nil)
		r.must(model.OK, request(0, model.OpCompact, "", "", ""))
		if got := r.reasons(); slices.Contains(got, model.ReasonDamagedRecord) {
			t.Errorf("alerts for reasons %d", got)
		}
	})
}

// TestAnAnswerGoesOnPastWhatIsMissing: an object that can't be read does not hide others. The
// answer names it, and its end has the most severe code.
func TestAnAnswerGoesOnPastWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		var all []mapping.Entry
		for i := range 6 {
			r.must(model.OK, request(0, model.OpPut, "c", fmt.Sprint("o", i), "some data"))
			all = append(all, r.entry(fmt.Sprint("o", i)))
		}
		answer := func() engine.Reply {
			return engine.Reply{Number: 7, Content: engine.Objects(slices.Clone(all)), End: engine.End{Count: 42, Flags: wire.ReplyTruncated, Body: []byte("cursor")}}
		}
		want := func(what string, code model.Code, names ...string) {
			t.Helper()
			list, end := r.show(answer())
			if !slices.Equal(list, names) || end.Code != code || end.Count != 42 || end.Flags != wire.ReplyTruncated|wire.ReplyLast || end.BodyLen != 6 {
				t.Errorf("%s: shown are %q, end %+v; want %q, code %d", what, list, end, names, code)
			}
		}
		id := func(i int, code model.Code) string { return missing(all[i].ID, code) }
		want("all is well", model.OK, "o0", "o1", "o2", "o3", "o4", "o5")
		uncache := func() {
			t.Helper()
			if err := r.log.Erase(); err != nil { // without an owner: only drops the cached records
				t.Fatal(err)
			}
		}

		// One object expires: it is deleted, and its segment is removed.
		r.must(model.OK, request(0, model.OpDelete, "c", "o4", ""))
		r.tidy()
		uncache()
		want("one is gone", model.Expired, "o0", "o1", "o2", "o3", id(4, model.Expired), "o5")

		// One object is damaged, and for a while the disk does not return the others, either.
		for _, name := range []string{"o0", "o5"} {
			at := r.entry(name).Loc
			r.disk.flip(fmt.Sprintf("%08d.seg", at.Segment), int(at.Offset+at.Length/2))
		}
		want("others are still in memory", model.Expired, "o0", "o1", "o2", "o3", id(4, model.Expired), "o5")
		uncache()
		want("two are damaged", model.Damaged, id(0, model.Damaged), "o1", "o2", "o3", id(4, model.Expired), id(5, model.Damaged))
		uncache()
		reads := 0
		r.disk.spoiled(func(string, []byte) error { reads++; return syscall.EIO })
		want("the disk fails", model.ReadFailed, id(0, model.ReadFailed), id(1, model.ReadFailed), id(2, model.ReadFailed),
			id(3, model.ReadFailed), id(4, model.Expired), id(5, model.ReadFailed))
		if reads != readTries+4 {
			t.Errorf("%d reads: an answer must wait only once for a failing disk, not for each object", reads)
		}
		r.disk.spoiled(nil)
		want("it works again", model.Damaged, id(0, model.Damaged), "o1", "o2", "o3", id(4, model.Expired), id(5, model.Damaged))
	})
}

// TestACheckpointThatCantBeReadOnce: a start reads it again, and uses the older one only if that
// fails, too. The alert names the case.
func TestACheckpointThatCantBeReadOnce(t *testing.T) {
	flip := func(p []byte) error { p[len(p)/2] ^= 1; return nil }
	disk := func(p []byte) error { clear(p); return syscall.EIO }
	for _, c := range []struct {
		name  string
		spoil func(p []byte) error
		times int
		notes []model.Reason
	}{
		{"a bit flips once", flip, 1, nil},
		{"the disk fails once", disk, 1, nil},
		{"the disk fails", disk, 1 << 20, []model.Reason{model.ReasonReadFailed}},
		{"a bit stays flipped", flip, 1 << 20, []model.Reason{model.ReasonCheckpoint}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := filledRig(t)
				h := newMaintainer(r.server, r.ctx)
				for range 2 {
					if err := h.checkpoint(); err != nil {
						t.Fatal(err)
					}
				}
				r.close()
				left := c.times
				r.disk.spoiled(func(name string, p []byte) error {
					if !strings.HasPrefix(name, "00000002.ckp") {
						return nil
					}
					if left--; left < 0 {
						return nil
					}
					return c.spoil(p)
				})
				s := newServer(Config{})
				if err := s.restore(r.disk, seal.Root{1}, rand.Read, engine.Config{Random: rand.Read}); err != nil {
					t.Fatal(err)
				}
				if n, _ := s.engine.Objects(); n != 2 || !slices.Equal(s.engine.Notes, c.notes) {
					t.Errorf("%d objects, alerts for reasons %d; want 2, %d", n, s.engine.Notes, c.notes)
				}
			})
		})
	}
}

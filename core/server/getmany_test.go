package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// byNames returns the sub-query with these names.
func byNames(names ...string) (query []byte) {
	for _, name := range names {
		query = frames.AppendWantedName(query, []byte(name))
	}
	return query
}

// many reads the answer to a GETMANY: for each object its name or "code …", and the End.
func many(t *testing.T, c net.Conn) (list []string, end wire.ReplyHeader) {
	t.Helper()
	for {
		h, body := reply(t, c)
		switch h.Kind {
		case wire.KindObject:
			o, err := frames.DecodeObject(body)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, string(o.Name))
		case wire.KindMissing:
			id, code, err := frames.DecodeMissing(body)
			if err != nil || code == model.NotFound && id != (identity.ID{}) {
				t.Fatalf("missing is %x, code %d, %v", id, code, err)
			}
			list = append(list, fmt.Sprint("code ", code))
		case wire.KindEnd:
			return list, h
		}
	}
}

// TestGetManyShowsEachInItsPlace with small, large and missing objects: up to the allowed
// number, and no more.
func TestGetManyShowsEachInItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		large, middle := strings.Repeat("x", 2*bufferSize), strings.Repeat("y", 2000)
		for i := range 6 {
			r.must(model.OK, request(0, model.OpPut, "c", fmt.Sprint("large", i), large))
		}
		var names, want []string
		for i := range wire.MaxGetMany {
			name := fmt.Sprint([]string{"small", "middle", "none", "large"}[i%4], i%6)
			if names = append(names, name); strings.HasPrefix(name, "none") || strings.HasPrefix(name, "large") && i%6 > 5 {
				want = append(want, fmt.Sprint("code ", model.NotFound))
				continue
			}
			want = append(want, name)
		}
		for i := range 6 {
			r.must(model.OK, request(0, model.OpPut, "c", fmt.Sprint("small", i), "data"))
			r.must(model.OK, request(0, model.OpPut, "c", fmt.Sprint("middle", i), middle))
		}
		before := [3]int{r.smallBudget.free, r.largeBudget.free, r.answerBudget.free}
		end, ended := r.join(1)
		for round := range uint64(3) {
			q := &wire.Request{Op: model.OpGetMany, Number: 1 + round, Collection: "c", Query: byNames(names...)}
			go end.Write(frames.AppendRequest(nil, q))
			list, h := many(t, end)
			if fmt.Sprint(list) != fmt.Sprint(want) || h.Code != model.NotFound || h.Count != wire.MaxGetMany {
				t.Fatalf("shown are %q, want %q; the end is %+v", list, want, h)
			}
		}
		for code, query := range map[model.Code][]byte{
			model.InvalidRequest: byNames(append(names, "one")...),
			model.OK:             byNames("one", "one"),
		} {
			go end.Write(frames.AppendRequest(nil, &wire.Request{Op: model.OpGetMany, Number: 9, Collection: "c", Query: query}))
			if _, h := many(t, end); h.Code != code {
				t.Errorf("%d bytes: code %d, want %d", len(query), h.Code, code)
			}
		}
		end.Close()
		<-ended
		if after := [3]int{r.smallBudget.free, r.largeBudget.free, r.answerBudget.free}; after != before {
			t.Errorf("%d bytes of the budget are free, want %d", after, before)
		}
	})
}

// TestAGetManyHoldsItsRoomUntilItsAnswerIsSent, or until its connection ends.
func TestAGetManyHoldsItsRoomUntilItsAnswerIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.must(model.OK, request(0, model.OpPut, "c", "large", strings.Repeat("x", 2*bufferSize)))
		before := r.smallBudget.free
		end, ended := r.join(1)
		var p []byte
		names := make([]string, wire.MaxGetMany)
		for i := range names {
			names[i] = "large"
		}
		const requests = 100
		for n := range uint64(requests) {
			p = frames.AppendRequest(p, &wire.Request{Op: model.OpGetMany, Number: 1 + n, Collection: "c", Query: byNames(names...)})
		}
		go end.Write(p)
		synctest.Wait()
		waiting := 0
		r.runOnEngine(func(*engine.Engine) {
			for _, c := range r.conns {
				waiting = max(waiting, int(c.unanswered.Load()))
			}
		})
		if waiting < maxGets || waiting > requests {
			t.Errorf("%d requests wait for their answers to be sent", waiting)
		}
		// Each answer is too large for the free part of its connection's budget.
		one := requestCost + len(byNames(names...)) + wantedCost*wire.MaxGetMany
		r.smallBudget.mu.Lock()
		if held := before - r.smallBudget.free; held != waiting*one {
			t.Errorf("%d bytes are held, want %d for each of %d requests", held, one, waiting)
		}
		r.smallBudget.mu.Unlock()
		end.Close()
		<-ended
		synctest.Wait()
		if r.smallBudget.free != before {
			t.Errorf("%d bytes of the budget are free, want %d", r.smallBudget.free, before)
		}
		r.runOnEngine(func(*engine.Engine) {
			if len(r.conns) > 1 { // the connection of the rig
				t.Errorf("%d connections are counted", len(r.conns))
			}
		})
	})
}

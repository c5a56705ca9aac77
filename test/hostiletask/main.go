// Command hostile is a Task under the control of an attacker. It keeps its input, and answers
// each query with the lie that the predicate names. A predicate "LIE, then LIE" names a lie for
// the first round of a query, and a lie for the later rounds.
package main

import (
	"bufio"
	"encoding/hex"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/internal/faketask"
)

type hostile struct {
	channel *os.File
	live    []identity.ID
	dead    []identity.ID
	owners  map[identity.Value]taskwire.Owner
	secret  []byte // content of an object
}

// query is a Search that the hostile Task answers with a lie.
type query struct {
	seq   uint64
	limit int
	owner taskwire.Owner
	after int // number of identities behind which the answer should begin
	lie   string
}

func main() {
	h := &hostile{channel: os.NewFile(3, "channel"), owners: make(map[identity.Value]taskwire.Owner)}
	in := bufio.NewReader(h.channel)
	for {
		header := make([]byte, taskwire.HeaderSize)
		if _, err := io.ReadFull(in, header); err != nil {
			return
		}
		f, err := taskwire.DecodeHeader(header)
		if err != nil {
			return
		}
		p := make([]byte, f.Len)
		if _, err := io.ReadFull(in, p); err != nil {
			return
		}
		switch f.Type {
		case taskwire.Insert, taskwire.Remove:
			h.apply(f.Type, p)
			h.send(taskwire.Applied, f.Seq, nil)
		case taskwire.Configure:
			h.send(taskwire.Applied, f.Seq, nil)
		case taskwire.Search:
			h.lie(decodeQuery(f.Seq, p))
		}
	}
}

// decodeQuery reads a Search, whose predicate is a lie, and perhaps another lie for later rounds.
func decodeQuery(seq uint64, p []byte) query {
	search := faketask.ReadSearch(p)
	q := query{seq: seq, limit: int(search.Limit), after: len(search.After), owner: search.Owner}
	first, later, rounds := strings.Cut(string(search.Predicate), ", then ")
	if q.lie = first; rounds && q.after > 0 {
		q.lie = later
	}
	return q
}

func (h *hostile) apply(t taskwire.Type, p []byte) {
	id := identity.ID(p[8:40])
	for i, old := range h.live {
		if old.Value() == id.Value() {
			h.dead = append(h.dead, old)
			h.live = append(h.live[:i], h.live[i+1:]...)
			break
		}
	}
	if t == taskwire.Insert {
		_, owner, input := faketask.ReadInsert(p)
		if string(input) == "fatal" {
			os.Exit(1)
		}
		h.live = append(h.live, id)
		h.owners[id.Value()] = owner
		h.secret = append(make([]byte, 0, 64), input...)
	}
}

func (h *hostile) send(t taskwire.Type, seq uint64, payload []byte) {
	p := taskwire.AppendHeader(nil, taskwire.Header{Type: t, Len: len(payload), Seq: seq})
	_, _ = h.channel.Write(append(p, payload...))
}

func (h *hostile) found(q query, state taskwire.State, ids ...identity.ID) {
	payload := []byte{byte(state)}
	for _, id := range ids {
		payload = append(payload, id[:]...)
	}
	h.send(taskwire.Found, q.seq, payload)
}

func (h *hostile) fail(q query, f taskwire.Failure) {
	h.send(taskwire.Failed, q.seq, []byte{byte(f)})
}

// fill names objects again and again, up to the limit, and says that more match.
func (h *hostile) fill(q query, ids []identity.ID) {
	if len(ids) == 0 {
		h.found(q, taskwire.StateLast)
		return
	}
	var list []identity.ID
	for len(list) < q.limit {
		list = append(list, ids...)
	}
	h.found(q, taskwire.StateMore, list[:q.limit]...)
}

// of returns the live objects of the owner that the query asks for, or those of all others.
func (h *hostile) of(q query, others bool) (ids []identity.ID) {
	for _, id := range h.live {
		if (h.owners[id.Value()] != q.owner) == others {
			ids = append(ids, id)
		}
	}
	return ids
}

func (h *hostile) lie(q query) {
	what, argument, _ := strings.Cut(q.lie, " ")
	switch what {
	case "all":
		h.found(q, taskwire.StateLast, h.live...)
	case "own":
		h.found(q, taskwire.StateLast, h.of(q, false)...)
	case "others": // objects that the client may not see
		h.found(q, taskwire.StateLast, h.of(q, true)...)
	case "fill":
		h.fill(q, h.of(q, argument == "others"))
	case "refuse":
		h.fail(q, taskwire.FailQuery)
	case "expensive":
		h.fail(q, taskwire.FailExpensive)
	case "gone":
		h.fail(q, taskwire.FailGone)
	default:
		h.forge(q, what, argument)
	}
}

// forge tells a lie that breaks the protocol.
func (h *hostile) forge(q query, what, argument string) {
	switch what {
	case "forged":
		h.found(q, taskwire.StateLast, h.live[0], identity.ID{1, 2, 3})
	case "given": // an identity that the attacker knows from elsewhere
		id, _ := hex.DecodeString(argument)
		h.found(q, taskwire.StateLast, identity.ID(id))
	case "deleted":
		h.found(q, taskwire.StateLast, h.dead...)
	case "altered":
		id := h.live[0]
		id[len(id)-1] ^= 1
		h.found(q, taskwire.StateLast, id)
	case "secret":
		h.found(q, taskwire.StateLast, identity.ID(h.secret[:identity.Size]))
	case "unasked":
		q.seq += 1000
		h.found(q, taskwire.StateLast, h.live...)
	case "twice":
		h.found(q, taskwire.StateLast)
		h.found(q, taskwire.StateLast)
	case "many":
		h.found(q, taskwire.StateLast, slices.Repeat(h.live[:1], q.limit+1)...)
	case "few": // more objects match, but it does not name as many as it may
		h.found(q, taskwire.StateMore, slices.Repeat(h.live[:1], q.limit-1)...)
	case "idle": // frames without an identity, for ever
		for {
			h.found(q, taskwire.StateContinues)
		}
	case "endless":
		for {
			h.found(q, taskwire.StateContinues, h.live...)
		}
	case "unfinished":
		h.found(q, taskwire.StateContinues, h.live...)
	case "regret": // a refusal in the middle of an answer
		h.found(q, taskwire.StateContinues, h.live...)
		h.fail(q, taskwire.FailExpensive)
	case "state":
		h.found(q, taskwire.StateMore+1, h.live...)
	case "failure":
		h.fail(q, taskwire.FailGone+1)
	case "configuration":
		h.fail(q, taskwire.FailConfiguration)
	case "flood":
		for q.seq += 1000; ; {
			h.fail(q, taskwire.FailQuery)
		}
	default:
		h.garble(q, what)
	}
}

// garble sends bytes that are no frames, or does not answer.
func (h *hostile) garble(q query, what string) {
	head := func(n int) []byte {
		return taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Found, Len: n, Seq: q.seq})
	}
	switch what {
	case "long":
		_, _ = h.channel.Write(append(head(1<<30), make([]byte, 1<<20)...))
	case "short":
		_, _ = h.channel.Write(append(head(1+2*identity.Size), 0, 1, 2, 3))
		h.found(q, taskwire.StateLast, h.live...)
		h.found(q, taskwire.StateLast, h.live...)
	case "type":
		h.send(99, q.seq, h.secret)
	case "half":
		_, _ = h.channel.Write(head(33)[:9])
		time.Sleep(50 * time.Millisecond)
		os.Exit(1)
	case "text":
		_, _ = h.channel.Write(h.secret)
	case "exit":
		os.Exit(1)
	case "silence":
	}
}

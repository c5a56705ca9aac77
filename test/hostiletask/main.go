// Command hostile is a Task under the control of an attacker. It keeps its input, and answers
// each query with the lie that the predicate names.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"time"

	"motte/core/identity"
	"motte/core/taskwire"
)

type hostile struct {
	channel *os.File
	live    []identity.ID
	dead    []identity.ID
	secret  []byte // content of an object
}

func main() {
	h := &hostile{channel: os.NewFile(3, "channel")}
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
			h.lie(f.Seq, string(p[4:]))
		}
	}
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
		h.live = append(h.live, id)
		h.secret = append(make([]byte, 0, 64), p[40:]...)
	}
}

func (h *hostile) send(t taskwire.Type, seq uint64, payload []byte) {
	p := taskwire.AppendHeader(nil, taskwire.Header{Type: t, Len: len(payload), Seq: seq})
	_, _ = h.channel.Write(append(p, payload...))
}

func (h *hostile) found(seq uint64, more byte, ids ...identity.ID) {
	payload := []byte{more}
	for _, id := range ids {
		payload = append(payload, id[:]...)
	}
	h.send(taskwire.Found, seq, payload)
}

func (h *hostile) lie(seq uint64, predicate string) {
	what, argument, _ := strings.Cut(predicate, " ")
	switch what {
	case "all":
		h.found(seq, 0, h.live...)
	case "forged":
		h.found(seq, 0, h.live[0], identity.ID{1, 2, 3})
	case "given": // an identity that the attacker knows from elsewhere
		id, _ := hex.DecodeString(argument)
		h.found(seq, 0, identity.ID(id))
	case "deleted":
		h.found(seq, 0, h.dead...)
	case "altered":
		id := h.live[0]
		id[len(id)-1] ^= 1
		h.found(seq, 0, id)
	case "secret":
		h.found(seq, 0, identity.ID(h.secret[:identity.Size]))
	case "long":
		p := taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Found, Len: 1 << 30, Seq: seq})
		_, _ = h.channel.Write(append(p, make([]byte, 1<<20)...))
	case "short":
		p := taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Found, Len: 1 + 2*identity.Size, Seq: seq})
		_, _ = h.channel.Write(append(p, 0, 1, 2, 3))
		h.found(seq, 0, h.live...)
		h.found(seq, 0, h.live...)
	case "type":
		h.send(99, seq, h.secret)
	case "unasked":
		h.found(seq+1000, 0, h.live...)
	case "twice":
		h.found(seq, 0)
		h.found(seq, 0)
	case "many":
		ids := make([]identity.ID, 200)
		for i := range ids {
			ids[i] = h.live[0]
		}
		h.found(seq, 0, ids...)
	case "silence":
	case "endless":
		for {
			h.found(seq, 1, h.live...)
		}
	case "flood":
		for {
			h.send(taskwire.Failed, seq+1000, []byte{byte(taskwire.FailQuery)})
		}
	case "half":
		_, _ = h.channel.Write(taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Found, Len: 33, Seq: seq})[:9])
		time.Sleep(50 * time.Millisecond)
		os.Exit(1)
	case "exit":
		os.Exit(1)
	case "text":
		_, _ = h.channel.Write(h.secret)
	case "count":
		binary.BigEndian.PutUint32(h.secret, uint32(len(h.live)))
		h.send(taskwire.Found, seq, h.secret[:33])
	}
}

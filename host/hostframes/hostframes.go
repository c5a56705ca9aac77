// Package hostframes is the host's half of the protocol of package hostwire. It encodes the host's
// messages, and decodes the Core's messages. It is outside the Core because the host is not
// trusted.
package hostframes

import (
	"motte/client/frames"
	"motte/core/codec"
	"motte/core/hostwire"
	"motte/core/model"
)

// Append appends the encoding of a host's message to p.
func Append(p []byte, m hostwire.HostMessage) []byte {
	w := codec.Writer(p).U8('M', 'C', hostwire.Version, byte(m.Type))
	if m.Type == hostwire.TypeStop {
		return w
	}
	return w.U64(m.Instance)
}

// Decode reads one message of the Core. The result does not alias p. Counters of another length
// come from a Core of another version. Their fields are nil, so the host can still supervise that
// Core.
func Decode(p []byte) (hostwire.Message, error) {
	r := codec.NewReader(p)
	r.Require(len(p) <= hostwire.MaxMessage && string(r.Take(2)) == "MC" && r.U8() == hostwire.Version)
	m := decodeFields(hostwire.Type(r.U8()), r)
	return m, r.Done()
}

func decodeFields(t hostwire.Type, r *codec.Reader) hostwire.Message {
	switch t {
	case hostwire.TypeReady:
		var m hostwire.Ready
		r.Copy(m.Key[:])
		m.Address = r.Text(hostwire.MaxAddress)
		return m
	case hostwire.TypeStartTask:
		m := hostwire.StartTask{Instance: r.U64(), Index: r.U32()}
		r.Copy(m.Measurement[:])
		m.Memory = r.U64()
		return m
	case hostwire.TypeStopTask:
		return hostwire.StopTask{Instance: r.U64()}
	case hostwire.TypeCounters:
		return decodeCounters(r)
	case hostwire.TypeEvent:
		return hostwire.Event{Reason: model.Reason(r.U8()), Segment: r.U32(), Offset: r.U32()}
	case hostwire.TypeAnchor:
		h, err := model.DecodeHead(r.Rest())
		r.Require(err == nil)
		return hostwire.Anchor{Head: h}
	case hostwire.TypeIndex:
		m := hostwire.Index{Index: r.U32(), Instance: r.U64(), State: model.IndexState(r.U8())}
		m.Restarts, m.Queued, m.Done = r.U64(), r.U64(), r.U64()
		return m
	}
	r.Require(false)
	return nil
}

func decodeCounters(r *codec.Reader) hostwire.Counters {
	p := r.Rest()
	in := codec.NewReader(p)
	s := new(hostwire.Stats)
	s.Synced, s.Refused, s.WriteBegan = in.U64(), in.U64(), in.U64()
	decodeHistogram(in, &s.Commits)
	for op := range s.Requests {
		for code := range s.Requests[op] {
			s.Requests[op][code] = in.U64()
		}
	}
	for op := range s.Latency {
		decodeHistogram(in, &s.Latency[op])
	}
	server, err := frames.DecodeServerStatus(in.Rest())
	if err != nil {
		return hostwire.Counters{}
	}
	return hostwire.Counters{Stats: s, Server: &server}
}

func decodeHistogram(r *codec.Reader, h *hostwire.Histogram) {
	for i := range h.Counts {
		h.Counts[i] = r.U64()
	}
	h.Micros = r.U64()
}

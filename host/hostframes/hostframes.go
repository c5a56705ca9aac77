// Package hostframes is the host's half of the protocol of package hostwire: it
// encodes what the Core decodes and decodes what the Core encodes. It lives
// outside the Core so that nobody has to trust it.
package hostframes

import (
	"motte/core/codec"
	"motte/core/hostwire"
	"motte/core/model"
)

// Append appends the encoding of a message of the host to p: its type and
// instance are all that it can hold.
func Append(p []byte, m *hostwire.Message) []byte {
	return codec.Writer(p).U8('M', 'C', hostwire.Version, byte(m.Type)).U64(m.Instance)
}

// Decode reads one message of the Core. The result does not alias p.
func Decode(p []byte) (m hostwire.Message, err error) {
	r := codec.NewReader(p)
	r.Require(len(p) <= hostwire.MaxMessage && string(r.Take(2)) == "MC" && r.U8() == hostwire.Version)
	m.Type, m.Instance = hostwire.Type(r.U8()), r.U64()
	r.Require(m.Type >= hostwire.Ready && m.Type <= hostwire.Index)
	r.Copy(m.Measurement[:])
	m.Memory = r.U64()
	r.Copy(m.Key[:])
	m.Address = r.Text(hostwire.MaxAddress)
	m.Reason, m.Segment, m.Offset = model.Reason(r.U8()), r.U32(), r.U32()
	m.Values = make([]uint64, r.Len()/8)
	for i := range m.Values {
		m.Values[i] = r.U64()
	}
	return m, r.Done()
}

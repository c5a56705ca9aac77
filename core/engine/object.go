package engine

import (
	"encoding/binary"

	"motte/core/frame"
)

// appendObject encodes the body of a KindPut record:
// len(name) 2 | len(attributes) 4 | name … | attributes … | object ….
func appendObject(p []byte, name, attributes, data []byte) []byte {
	p = binary.BigEndian.AppendUint16(p, uint16(len(name)))
	p = binary.BigEndian.AppendUint32(p, uint32(len(attributes)))
	p = append(p, name...)
	p = append(p, attributes...)
	return append(p, data...)
}

// DecodeObject reads the body of a KindPut record; the result aliases it.
func DecodeObject(body []byte) (o Object, err error) {
	r := frame.NewReader(body)
	name, attributes := int(r.U16()), int(r.U32())
	o.Name, o.Attributes = r.Take(name), r.Take(attributes)
	o.Data = r.Rest()
	return o, r.Done()
}

package anchor

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A frame is the value that a medium stores:
//
//	0   "MTA"                                 3 bytes
//	3   version, 1                            1
//	4   head                                  40
//	44  CRC-32C of all before, big-endian     4
//
// The check value detects accidents: torn writes and other programs' data. It authenticates no
// frame: whoever can write to the medium can write any head.
const frameSize = 48 // bytes

const (
	frameMagic   = "MTA"
	frameVersion = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(h Head) [frameSize]byte {
	var p [frameSize]byte
	copy(p[:], frameMagic)
	p[3] = frameVersion
	copy(p[4:], h[:])
	binary.BigEndian.PutUint32(p[44:], crc32.Checksum(p[:44], castagnoli))
	return p
}

func decode(p []byte) (h Head, err error) {
	switch {
	case len(p) != frameSize || string(p[:3]) != frameMagic:
		return h, ErrForeign
	case p[3] != frameVersion:
		return h, fmt.Errorf("%w that this version of Motte reads: its version is %d", ErrForeign, p[3])
	case binary.BigEndian.Uint32(p[44:]) != crc32.Checksum(p[:44], castagnoli):
		return h, ErrDamaged
	}
	copy(h[:], p[4:44])
	return h, nil
}

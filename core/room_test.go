package core

import (
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/frame"
	"motte/core/wire"
)

// TestAnswersOfLittleContentGiveRoomBack: what is read for an answer is more than
// what is sent of it when attributes are long; room for it must not be held until
// much is sent.
func TestAnswersOfLittleContentGiveRoomBack(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.dial(key(1))
	row := frames.AppendRow(nil, &wire.Row{Operations: frames.TaskSearch, MaxInput: 1, MaxResults: 1, Deadline: wire.MaxDeadline, Memory: 1})
	attributes := frame.Writer(nil).Text("x", wire.MaxIdentifier).U32(1<<20 - 36).Bytes(make([]byte, 1<<20-36))
	put := request(4, wire.OpPut, "c", "one", "")
	put.Query = attributes
	for _, q := range []*wire.Request{
		request(1, wire.OpCreateCollection, "c", "", ""),
		{Op: wire.OpRegisterTask, Number: 2, Name: []byte("t"), Query: row},
		{Op: wire.OpCreateIndex, Number: 3, Collection: "c", Index: "x", Type: wire.TypeText, Flags: wire.FlagAttribute | wire.FlagLazy, Name: []byte("t")},
		put,
	} {
		do(t, admin, wire.OK, q)
	}
	s.add(admin)
	c := s.dial(key(5))
	const gets = 160 // of 2 MiB each, as room is counted: more than there is
	var p []byte
	for i := range uint64(gets) {
		p = frames.AppendRequest(p, request(100+i, wire.OpGet, "c", "one", ""))
	}
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	for range gets {
		reply(t, c)
	}
	s.stop()
}

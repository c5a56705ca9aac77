package wire

import (
	"encoding/binary"

	"motte/core/frame"
)

// IndexState is where an index stands.
type IndexState uint8

// The states of an index. Only a serving index answers predicates.
const (
	IndexStarting    IndexState = 1 // waiting for its Task's process
	IndexBuilding    IndexState = 2 // being fed from the Core's copy
	IndexServing     IndexState = 3
	IndexQuarantined IndexState = 4 // its Task broke the contract; a fresh one is about to start
	IndexRefused     IndexState = 5 // the Task does not accept the configuration: drop the index
	indexStateEnd    IndexState = 6
)

// Rights is a set of rights in a collection, or on the server itself.
type Rights uint8

// The rights (design: deny by falling through). Write lets a principal put
// objects; to replace another principal's object it needs Delete and Read
// too. Admin lets it change a collection's indexes and grants or, granted on
// the server, everything.
const (
	RightRead    Rights = 1 << 0 // every object of the collection
	RightReadOwn Rights = 1 << 1 // the objects that the principal put itself
	RightWrite   Rights = 1 << 2
	RightDelete  Rights = 1 << 3 // of what the principal may read
	RightAdmin   Rights = 1 << 4
	RightsAll    Rights = 1<<5 - 1
)

// StatusItem is one line of a status: exactly one of the pointers is set.
type StatusItem struct {
	Server     *ServerStatus
	Collection *CollectionStatus
	Index      *IndexStatus
	Task       *TaskStatus
	Principal  *PrincipalStatus
	Grant      *GrantStatus
}

// ServerStatus describes the Core; only a server administrator sees it.
type ServerStatus struct {
	Objects     uint64
	LogBytes    uint64
	Segments    uint32
	Alerts      uint32 // recorded since the store was made
	Connections uint32
	Uptime      uint32 // seconds
	KeyInStore  bool   // the root key lies in the data directory: a stolen disk is readable
	ReadOnly    bool   // the disk refused a write
}

// CollectionStatus describes a collection in which the principal has a right.
type CollectionStatus struct {
	Name    string
	Objects uint64 // all of them, whoever asks; 0 unless the principal may read all
	Rights  Rights // those of the principal who asks
}

// IndexStatus describes an index.
type IndexStatus struct {
	Collection, Index, Task string
	Type                    DataType
	Flags                   Flags // FlagOrdered, FlagLazy, FlagAttribute
	State                   IndexState
	Fed, Total              uint64 // objects fed so far, and to feed, while building
	LeakedBits              uint64 // drawn by the principal who asks, since the Core started
	Restarts                uint32 // of its Task, since the Core started
	Refused                 uint64 // inputs that the Task refused, since it was started
}

// TaskStatus is a row of the API format table.
type TaskStatus struct {
	Name string
	Row  Row
}

// PrincipalStatus describes a principal; only a server administrator sees others.
type PrincipalStatus struct {
	ID    [32]byte
	Label string
}

// GrantStatus is one grant; Collection "" is the server.
type GrantStatus struct {
	Collection string
	Principal  [32]byte
	Rights     Rights
}

const (
	itemServer = iota + 1
	itemCollection
	itemIndex
	itemTask
	itemPrincipal
	itemGrant
)

// AppendStatus appends the body of a KindStatus frame: one byte that says
// which item it is, then the item's fields in order, each of fixed size.
func AppendStatus(p []byte, item StatusItem) []byte {
	b := binary.BigEndian
	switch {
	case item.Server != nil:
		s := item.Server
		p = b.AppendUint64(b.AppendUint64(append(p, itemServer), s.Objects), s.LogBytes)
		p = b.AppendUint32(b.AppendUint32(p, s.Segments), s.Alerts)
		p = b.AppendUint32(b.AppendUint32(p, s.Connections), s.Uptime)
		return append(p, boolByte(s.KeyInStore), boolByte(s.ReadOnly))
	case item.Collection != nil:
		c := item.Collection
		p = frame.AppendText(append(p, itemCollection), c.Name, MaxIdentifier)
		return append(b.AppendUint64(p, c.Objects), byte(c.Rights))
	case item.Index != nil:
		x := item.Index
		p = frame.AppendText(append(p, itemIndex), x.Collection, MaxIdentifier)
		p = frame.AppendText(p, x.Index, MaxIdentifier)
		p = frame.AppendText(p, x.Task, MaxIdentifier)
		p = append(p, byte(x.Type), byte(x.Flags), byte(x.State))
		p = b.AppendUint64(b.AppendUint64(p, x.Fed), x.Total)
		p = b.AppendUint32(b.AppendUint64(p, x.LeakedBits), x.Restarts)
		return b.AppendUint64(p, x.Refused)
	case item.Task != nil:
		p = frame.AppendText(append(p, itemTask), item.Task.Name, MaxIdentifier)
		return AppendRow(p, &item.Task.Row)
	case item.Principal != nil:
		p = append(append(p, itemPrincipal), item.Principal.ID[:]...)
		return frame.AppendText(p, item.Principal.Label, MaxLabel)
	default:
		g := item.Grant
		p = frame.AppendText(append(p, itemGrant), g.Collection, MaxIdentifier)
		return append(append(p, g.Principal[:]...), byte(g.Rights))
	}
}

// DecodeStatus reads the body of a KindStatus frame.
func DecodeStatus(p []byte) (item StatusItem, err error) {
	r := frame.NewReader(p)
	switch r.U8() {
	case itemServer:
		s := &ServerStatus{Objects: r.U64(), LogBytes: r.U64(), Segments: r.U32(), Alerts: r.U32(),
			Connections: r.U32(), Uptime: r.U32()}
		s.KeyInStore, s.ReadOnly = readBool(r), readBool(r)
		item.Server = s
	case itemCollection:
		item.Collection = &CollectionStatus{Name: r.Text(MaxIdentifier), Objects: r.U64(), Rights: Rights(r.U8())}
	case itemIndex:
		x := &IndexStatus{Collection: r.Text(MaxIdentifier), Index: r.Text(MaxIdentifier), Task: r.Text(MaxIdentifier),
			Type: DataType(r.U8()), Flags: Flags(r.U8()), State: IndexState(r.U8()),
			Fed: r.U64(), Total: r.U64(), LeakedBits: r.U64(), Restarts: r.U32(), Refused: r.U64()}
		r.Require(x.State > 0 && x.State < indexStateEnd && x.Type < typeEnd)
		item.Index = x
	case itemTask:
		item.Task = &TaskStatus{Name: r.Text(MaxIdentifier), Row: readRow(r)}
	case itemPrincipal:
		item.Principal = &PrincipalStatus{}
		r.Copy(item.Principal.ID[:])
		item.Principal.Label = r.Text(MaxLabel)
	case itemGrant:
		g := &GrantStatus{Collection: r.Text(MaxIdentifier)}
		r.Copy(g.Principal[:])
		g.Rights = Rights(r.U8())
		item.Grant = g
	default:
		r.Require(false)
	}
	return item, r.Done()
}

func readBool(r *frame.Reader) bool {
	b := r.U8()
	r.Require(b <= 1)
	return b == 1
}

// Reason says why an alert was recorded.
type Reason uint8

// The reasons.
const (
	ReasonInvalidIdentity Reason = 1 // never made, or altered, or deleted or replaced as the Task had confirmed
	ReasonOtherCollection Reason = 2 // an identity of another collection
	ReasonBadFrame        Reason = 3 // too long, too short, unknown type, wrong version
	ReasonUnasked         Reason = 4 // an answer to a request never made, or a second answer
	ReasonTooManyResults  Reason = 5 // more identities than the table or the request allows
	ReasonDeadline        Reason = 6 // no answer in time
	ReasonTaskEnded       Reason = 7 // the process ended or closed its channel
	ReasonDamagedRecord   Reason = 8 // a stored record failed its check when it was read
	ReasonStorage         Reason = 9 // the disk refused a write
	reasonEnd             Reason = 10
)

// Alert is one entry of the record of alerts, which is part of the sealed log.
type Alert struct {
	LSN        uint64
	Time       int64 // Unix seconds by the Core's clock, which the host controls
	Reason     Reason
	Collection string
	Index      string
	Segment    uint32 // ReasonDamagedRecord: where the record lies
	Offset     uint32
}

// AppendAlert appends the body of a KindAlert frame, fields in order.
func AppendAlert(p []byte, a *Alert) []byte {
	p = binary.BigEndian.AppendUint64(p, a.LSN)
	p = binary.BigEndian.AppendUint64(p, uint64(a.Time))
	p = append(p, byte(a.Reason))
	p = frame.AppendText(p, a.Collection, MaxIdentifier)
	p = frame.AppendText(p, a.Index, MaxIdentifier)
	p = binary.BigEndian.AppendUint32(p, a.Segment)
	return binary.BigEndian.AppendUint32(p, a.Offset)
}

// DecodeAlert reads the body of a KindAlert frame.
func DecodeAlert(p []byte) (a Alert, err error) {
	r := frame.NewReader(p)
	a = Alert{LSN: r.U64(), Time: int64(r.U64()), Reason: Reason(r.U8()),
		Collection: r.Text(MaxIdentifier), Index: r.Text(MaxIdentifier), Segment: r.U32(), Offset: r.U32()}
	r.Require(a.Reason > 0 && a.Reason < reasonEnd)
	return a, r.Done()
}

package frames

import (
	"bytes"

	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
)

// Status is the answer to a STATUS: the parts of the catalogue that the asking principal may
// see, in a fixed order.
type Status struct {
	Server      *model.ServerStatus // nil, unless the principal is a server administrator
	Tasks       []TaskStatus
	Principals  []wire.PrincipalStatus
	Collections []wire.CollectionStatus
	Grants      []wire.GrantStatus
	Indexes     []wire.IndexStatus
}

// TaskStatus describes a registered Task.
type TaskStatus struct {
	Task   string
	Row    model.Row
	Before *model.Row // the row of the executable before the present one; nil: there was none
}

// Index returns the status of an index, or nil.
func (s *Status) Index(collection, index string) *wire.IndexStatus {
	for i := range s.Indexes {
		if x := &s.Indexes[i]; x.Collection == collection && x.Index == index {
			return x
		}
	}
	return nil
}

// Add decodes a status item, the body of a KindStatus frame, and adds it to s. Package wire
// has the layouts, at the functions that append the items.
func (s *Status) Add(p []byte) (err error) {
	r := codec.NewReader(p)
	switch wire.StatusKind(r.U8()) {
	case wire.StatusServer:
		server, err := DecodeServerStatus(r.Rest())
		r.Require(err == nil)
		s.Server = &server
	case wire.StatusTask:
		task := TaskStatus{Task: r.Text(model.MaxIdentifier)}
		task.Row, err = model.DecodeRow(r.Take(model.RowSize))
		r.Require(err == nil)
		if r.Len() > 0 {
			before, err := model.DecodeRow(r.Rest())
			r.Require(err == nil)
			task.Before = &before
		}
		s.Tasks = append(s.Tasks, task)
	case wire.StatusPrincipal:
		var x wire.PrincipalStatus
		r.Copy(x.Principal[:])
		x.Label = r.Text(model.MaxLabel)
		s.Principals = append(s.Principals, x)
	case wire.StatusCollection:
		x := wire.CollectionStatus{Collection: r.Text(model.MaxIdentifier), Rights: model.Rights(r.U8()),
			Objects: r.U64(), Bytes: r.U64()}
		x.Quota, err = model.DecodeQuota(r.Rest())
		r.Require(err == nil)
		s.Collections = append(s.Collections, x)
	case wire.StatusGrant:
		x := wire.GrantStatus{Collection: r.Text(model.MaxIdentifier)}
		r.Copy(x.Principal[:])
		x.Rights = model.Rights(r.U8())
		s.Grants = append(s.Grants, x)
	case wire.StatusIndex:
		s.Indexes = append(s.Indexes, decodeIndexStatus(r))
	default:
		r.Require(false)
	}
	return r.Done()
}

// DecodeConfiguration reads the only item of a CONFIGURATION. The result does not alias p.
func DecodeConfiguration(p []byte) ([]byte, error) {
	r := codec.NewReader(p)
	r.Require(wire.StatusKind(r.U8()) == wire.StatusConfiguration)
	configuration := bytes.Clone(r.Rest())
	return configuration, r.Done()
}

func decodeIndexStatus(r *codec.Reader) (x wire.IndexStatus) {
	x.Collection, x.Index, x.Task = r.Text(model.MaxIdentifier), r.Text(model.MaxIdentifier), r.Text(model.MaxIdentifier)
	x.Type, x.Options, x.State = model.DataType(r.U8()), model.IndexOptions(r.U8()), model.IndexState(r.U8())
	x.Upgrade = model.Upgrade(r.U8())
	for _, n := range []*uint64{&x.LeakedBits, &x.LeftBits, &x.Fed, &x.ToFeed, &x.IndexBits, &x.IndexLeftBits, &x.Restarts, &x.Refused, &x.SetAside} {
		*n = r.U64()
	}
	x.Number, x.Queued, x.Shelf, x.Refed, x.Shelved = r.U32(), r.U64(), r.U64(), r.U64(), r.U64()
	for _, l := range []*model.Latencies{&x.Changes, &x.Questions} {
		for i := range l {
			l[i] = r.U64()
		}
	}
	return x
}

// Age returns the seconds from a time of s to s.Now. It returns 0 if time is 0 or lies in the
// future.
func Age(s *model.ServerStatus, time uint64) uint64 {
	if time == 0 || time > s.Now {
		return 0
	}
	return s.Now - time
}

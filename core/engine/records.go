package engine

import (
	"motte/core/access"
	"motte/core/codec"
	"motte/core/model"
	"motte/core/seglog"
)

// The bodies of the catalogue's records. Each kind of record has a type here, with the
// fields that it uses. All kinds share one layout, so that a field has the same offset in
// each of them; fields that a kind does not use are zero:
//
//	name 32 | Task 32 | data type 1 | options, rights or erase flag 1
//	principal 32 | owner, or number of the index, 4 | label, or number of the shelf, 64 | rest …
//
// The rest is a configuration, a row, a quota or a principal. A decoder refuses every
// other encoding (codec.ErrMalformed).
const (
	nameSize      = model.MaxIdentifier
	labelSize     = model.MaxLabel
	principalSize = len(access.Principal{})

	beforeBits      = 2*nameSize + 1 // name, Task and data type
	beforePrincipal = beforeBits + 1 // these and the options, rights or flag
	afterPrincipal  = 4 + labelSize  // owner and label
	fixedSize       = beforePrincipal + principalSize + afterPrincipal
)

// item is a part of the catalogue.
type item interface {
	// record returns the record that makes the item. An item of a
	// collection uses the number of the collection.
	record(collection uint32) seglog.Record
}

func record(kind seglog.Kind, collection uint32, body codec.Writer) seglog.Record {
	return seglog.Record{Kind: kind, Collection: collection, Body: body}
}

// registered is a Task with the row of the API format table.
type registered struct {
	task   string
	row    []byte // encoded
	before []byte // the row of the executable before this one; empty: there was none
}

func (n registered) record(uint32) seglog.Record {
	body := codec.Writer(nil).Text(n.task, nameSize).Zero(fixedSize - nameSize).Bytes(n.row).Bytes(n.before)
	return record(seglog.KindRegisterTask, 0, body)
}

func decodeRegistered(p []byte) (n registered, err error) {
	r := codec.NewReader(p)
	n.task = r.Text(nameSize)
	r.Zero(fixedSize - nameSize)
	n.row, n.before = r.Take(model.RowSize), r.Rest()
	r.Require(len(n.before) == 0 || len(n.before) == model.RowSize)
	return n, r.Done()
}

// principal is a client that may connect. The data key of its owner's number seals the
// objects that it puts.
type principal struct {
	id    access.Principal
	owner uint32
	label string
}

func (n principal) record(uint32) seglog.Record {
	body := codec.Writer(nil).Zero(beforePrincipal).Bytes(n.id[:]).U32(n.owner).Text(n.label, labelSize)
	return record(seglog.KindAddPrincipal, 0, body)
}

func decodePrincipal(p []byte) (n principal, err error) {
	r := codec.NewReader(p)
	r.Zero(beforePrincipal)
	r.Copy(n.id[:])
	n.owner, n.label = r.U32(), r.Text(labelSize)
	return n, r.Done()
}

// principalRemoval removes a principal. With erase, it also removes the objects of its owner
// number and their data key.
type principalRemoval struct {
	id    access.Principal
	owner uint32
	erase bool
}

func (n principalRemoval) record(uint32) seglog.Record {
	body := codec.Writer(nil).Zero(beforeBits).Bool(n.erase).Bytes(n.id[:]).U32(n.owner).Zero(labelSize)
	return record(seglog.KindRemovePrincipal, 0, body)
}

func decodePrincipalRemoval(p []byte) (n principalRemoval, err error) {
	r := codec.NewReader(p)
	r.Zero(beforeBits)
	n.erase = r.Bool()
	r.Copy(n.id[:])
	n.owner = r.U32()
	r.Zero(labelSize)
	return n, r.Done()
}

// rotation gives a principal another key, and so another identifier.
type rotation struct {
	id, next access.Principal
}

func (n rotation) record(uint32) seglog.Record {
	body := codec.Writer(nil).Zero(beforePrincipal).Bytes(n.id[:]).Zero(afterPrincipal).Bytes(n.next[:])
	return record(seglog.KindRotatePrincipal, 0, body)
}

func decodeRotation(p []byte) (n rotation, err error) {
	r := codec.NewReader(p)
	r.Zero(beforePrincipal)
	r.Copy(n.id[:])
	r.Zero(afterPrincipal)
	r.Copy(n.next[:])
	return n, r.Done()
}

// creation makes a collection, in which its creator gets rights.
type creation struct {
	name    string
	creator access.Principal
	rights  model.Rights
}

func (n creation) record(collection uint32) seglog.Record {
	body := codec.Writer(nil).Text(n.name, nameSize).Zero(beforeBits - nameSize).U8(byte(n.rights))
	return record(seglog.KindCreateCollection, collection, body.Bytes(n.creator[:]).Zero(afterPrincipal))
}

func decodeCreation(p []byte) (n creation, err error) {
	r := codec.NewReader(p)
	n.name = r.Text(nameSize)
	r.Zero(beforeBits - nameSize)
	n.rights = model.Rights(r.U8())
	r.Copy(n.creator[:])
	r.Zero(afterPrincipal)
	return n, r.Done()
}

// dropOf returns the record that drops a collection.
func dropOf(collection uint32) seglog.Record {
	return record(seglog.KindDropCollection, collection, codec.Writer(nil).Zero(fixedSize))
}

// grant gives a principal rights in a collection, or on the server.
type grant struct {
	to     access.Principal
	rights model.Rights
}

func (n grant) record(collection uint32) seglog.Record {
	return record(seglog.KindGrant, collection, n.body())
}

// revocation returns the record that takes the rights back.
func (n grant) revocation(collection uint32) seglog.Record {
	return record(seglog.KindRevoke, collection, n.body())
}

func (n grant) body() codec.Writer {
	return codec.Writer(nil).Zero(beforeBits).U8(byte(n.rights)).Bytes(n.to[:]).Zero(afterPrincipal)
}

func decodeGrant(p []byte) (n grant, err error) {
	r := codec.NewReader(p)
	r.Zero(beforeBits)
	n.rights = model.Rights(r.U8())
	r.Copy(n.to[:])
	r.Zero(afterPrincipal)
	return n, r.Done()
}

// quotaLimit is the quota of a collection.
type quotaLimit model.Quota

func (n quotaLimit) record(collection uint32) seglog.Record {
	body := model.AppendQuota(codec.Writer(nil).Zero(fixedSize), model.Quota(n))
	return record(seglog.KindQuota, collection, body)
}

func decodeQuotaLimit(p []byte) (model.Quota, error) {
	r := codec.NewReader(p)
	r.Zero(fixedSize)
	return model.DecodeQuota(r.Rest())
}

// definition is an index as it was created.
type definition struct {
	name     string
	task     string
	dataType model.DataType
	options  model.IndexOptions
	number   uint32 // of the index in the store; 0: created before indexes had numbers
	shelf    uint32 // number of the collection of its blobs
	config   []byte // for the Task
}

func (n definition) record(collection uint32) seglog.Record {
	body := codec.Writer(nil).Text(n.name, nameSize).Text(n.task, nameSize)
	body = body.U8(byte(n.dataType), byte(n.options)).Zero(principalSize)
	body = body.U32(n.number).U32(n.shelf).Zero(labelSize - 4)
	return record(seglog.KindCreateIndex, collection, body.Bytes(n.config))
}

func decodeDefinition(p []byte) (n definition, err error) {
	r := codec.NewReader(p)
	n.name, n.task = r.Text(nameSize), r.Text(nameSize)
	n.dataType, n.options = model.DataType(r.U8()), model.IndexOptions(r.U8())
	r.Zero(principalSize)
	n.number, n.shelf = r.U32(), r.U32()
	r.Zero(labelSize - 4)
	n.config = r.Rest()
	return n, r.Done()
}

// indexDrop drops an index.
type indexDrop struct {
	name string
}

func (n indexDrop) record(collection uint32) seglog.Record {
	body := codec.Writer(nil).Text(n.name, nameSize).Zero(fixedSize - nameSize)
	return record(seglog.KindDropIndex, collection, body)
}

func decodeIndexDrop(p []byte) (n indexDrop, err error) {
	r := codec.NewReader(p)
	n.name = r.Text(nameSize)
	r.Zero(fixedSize - nameSize)
	return n, r.Done()
}

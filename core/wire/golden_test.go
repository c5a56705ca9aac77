package wire_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"motte/client/frames"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
	"motte/internal/testutil"
)

// pattern returns 32 consecutive bytes from first on.
func pattern(first byte) (p [32]byte) {
	for i := range p {
		p[i] = first + byte(i)
	}
	return p
}

var row = model.Row{Measurement: pattern(0x40), Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete,
	Ordered: true, MaxInput: 1 << 20, MaxResults: 10_000, Deadline: 5_000, Memory: 256 << 20, LeakBudget: 1 << 30, IndexBudget: 1 << 40,
	Shelf: 1 << 31}

// goldenRequest is a request that the Core accepts, with every field that its operation can use.
type goldenRequest struct {
	name, comment string
	wire.Request
}

func goldenRequests() []goldenRequest {
	attributes := frames.AppendAttribute(nil, "by_age", []byte("36"))
	attributes = frames.AppendAttribute(attributes, "text", []byte("Ada of London"))
	batch := frames.AppendBatchOp(nil, &wire.Request{Op: model.OpPut, Flags: wire.FlagIfAbsent, Name: []byte("grace"), Query: attributes, Object: []byte(`{"age":85}`)})
	batch = frames.AppendBatchOp(batch, &wire.Request{Op: model.OpPut, Flags: wire.FlagIfIdentity, Identity: pattern(0x20), Name: []byte("ada"), Object: []byte(`{"age":37}`)})
	batch = frames.AppendBatchOp(batch, &wire.Request{Op: model.OpDelete, Identity: pattern(0x60)})
	name, object, people := []byte("ada"), []byte(`{"age":36}`), "people"
	query := []byte(">= 30 and < 40")
	next := pattern(0x60)
	list := []goldenRequest{
		{"put", "PUT without a name", wire.Request{Op: model.OpPut, Collection: people, Object: object}},
		{"put-name", "PUT by name, if absent, with two attributes", wire.Request{
			Op: model.OpPut, Collection: people, Flags: wire.FlagIfAbsent, Name: name, Query: attributes, Object: object}},
		{"put-if-identity", "PUT by name, if the object's identity still is the header's", wire.Request{
			Op: model.OpPut, Collection: people, Flags: wire.FlagIfIdentity, Identity: pattern(0x20), Name: name, Object: object}},
		{"get-name", "GET by name", wire.Request{Op: model.OpGet, Collection: people, Name: name}},
		{"get-many", "GETMANY: by name, and by identity", wire.Request{Op: model.OpGetMany, Collection: people,
			Query: frames.AppendWantedIdentity(frames.AppendWantedName(nil, name), pattern(0x20))}},
		{"get-identity", "GET by identity", wire.Request{Op: model.OpGet, Collection: people, Identity: pattern(0x20)}},
		{"search", "SEARCH for at most 10 identities", wire.Request{Op: model.OpSearch, Collection: people,
			Index: "by_age", Type: model.TypeInt64, Limit: 10, Flags: wire.FlagIDsOnly, Query: query}},
		{"search-after", "SEARCH for the next 10 objects, after two that were shown", wire.Request{Op: model.OpSearch, Collection: people,
			Index: "by_age", Limit: 10, Query: query, Object: frames.AppendIdentities(nil, []identity.ID{pattern(0x60), pattern(0x20)})}},
		{"delete-name", "DELETE by name, if the object's identity still is the header's", wire.Request{
			Op: model.OpDelete, Collection: people, Flags: wire.FlagIfIdentity, Identity: pattern(0x20), Name: name}},
		{"delete-identity", "DELETE by identity", wire.Request{Op: model.OpDelete, Collection: people, Identity: pattern(0x20)}},
		{"delete-where", "DELETE by predicate", wire.Request{Op: model.OpDeleteWhere, Collection: people, Index: "by_age", Query: query}},
		{"count", "COUNT by predicate", wire.Request{Op: model.OpCount, Collection: people, Index: "by_age", Query: query}},
		{"list", "LIST of identities", wire.Request{Op: model.OpList, Collection: people, Flags: wire.FlagIDsOnly}},
		{"batch", "BATCH: two PUTs and a DELETE", wire.Request{Op: model.OpBatch, Collection: people, Object: batch}},
		{"create-collection", "CREATE COLLECTION", wire.Request{Op: model.OpCreateCollection, Collection: people}},
		{"drop-collection", "DROP COLLECTION", wire.Request{Op: model.OpDropCollection, Collection: people}},
		{"create-index", "CREATE INDEX, ordered and fed an attribute", wire.Request{Op: model.OpCreateIndex, Collection: people, Index: "by_age",
			Type: model.TypeInt64, Options: model.OptionOrdered | model.OptionAttribute, Name: []byte("ordered"), Query: []byte(`{"type":"int64"}`)}},
		{"drop-index", "DROP INDEX", wire.Request{Op: model.OpDropIndex, Collection: people, Index: "by_age"}},
		{"rebuild", "REBUILD an index", wire.Request{Op: model.OpRebuild, Collection: people, Index: "by_age"}},
		{"register-task", "REGISTER TASK with its row of the API format table", wire.Request{Op: model.OpRegisterTask,
			Name: []byte("ordered"), Query: frames.AppendRow(nil, &row)}},
		{"add-principal", "ADD PRINCIPAL", wire.Request{Op: model.OpAddPrincipal, Identity: pattern(0x80), Name: []byte("alice")}},
		{"remove-principal", "REMOVE PRINCIPAL", wire.Request{Op: model.OpRemovePrincipal, Identity: pattern(0x80)}},
		{"erase-principal", "REMOVE PRINCIPAL with all that it put", wire.Request{Op: model.OpRemovePrincipal, Identity: pattern(0x80), Flags: wire.FlagErase}},
		{"rotate-principal", "ROTATE PRINCIPAL", wire.Request{Op: model.OpRotatePrincipal, Identity: pattern(0x80), Query: next[:]}},
		{"grant", "GRANT of read and write in a collection", wire.Request{Op: model.OpGrant, Collection: people,
			Identity: pattern(0x80), Rights: model.RightRead | model.RightWrite}},
		{"revoke", "REVOKE of admin on the server", wire.Request{Op: model.OpRevoke, Identity: pattern(0x80), Rights: model.RightAdmin}},
		{"retry", "RETRY: feed the inputs again that were set aside", wire.Request{Op: model.OpRetry, Collection: people, Index: "by_age"}},
		{"configuration", "CONFIGURATION of an index", wire.Request{Op: model.OpConfiguration, Collection: people, Index: "by_age"}},
		{"quota", "QUOTA: a GiB, and a million objects", wire.Request{Op: model.OpQuota, Collection: people,
			Query: model.AppendQuota(nil, model.Quota{Bytes: 1 << 30, Objects: 1_000_000})}},
		{"status", "STATUS", wire.Request{Op: model.OpStatus}},
		{"alerts", "ALERTS", wire.Request{Op: model.OpAlerts}},
		{"head", "HEAD", wire.Request{Op: model.OpHead}},
		{"head-remembered", "HEAD, with a head that the client remembers", wire.Request{Op: model.OpHead, Query: model.AppendHead(nil, &head)}},
		{"compact", "COMPACT", wire.Request{Op: model.OpCompact}},
		{"verify", "VERIFY", wire.Request{Op: model.OpVerify}},
	}
	for i := range list {
		list[i].Number = 0x0102030405060708
	}
	return list
}

// TestGoldenRequests fixes the frame of every operation, encoded and decoded.
func TestGoldenRequests(t *testing.T) {
	seen := make(map[model.Operation]bool)
	for _, g := range goldenRequests() {
		p := frames.AppendRequest(nil, &g.Request)
		testutil.Golden(t, filepath.Join("testdata", "request-"+g.name+".hex"), g.comment, p)
		seen[g.Op] = true
		r, code := decodeRequest(p)
		if code != model.OK {
			t.Errorf("%s: code %d", g.name, code)
		} else if again := frames.AppendRequest(nil, &r); !bytes.Equal(again, p) {
			t.Errorf("%s: decoded as %+v", g.name, r)
		}
	}
	for o := range 256 {
		if op := model.Operation(o); frames.ValidOperation(op) && !seen[op] {
			t.Errorf("operation %d has no golden vector", o)
		}
	}
}

// decodeRequest decodes a single whole frame, like the Core.
func decodeRequest(p []byte) (r wire.Request, code model.Code) {
	r, code = wire.DecodeHeader(p[:min(len(p), wire.RequestHeaderSize)])
	if code == model.OK && len(p) != wire.RequestHeaderSize+r.BodyLen() {
		code = model.Malformed
	}
	if code == model.OK {
		r = wire.SplitBody(r, p[wire.RequestHeaderSize:])
	}
	return r, code
}

// goldenReply is a reply frame. again decodes its body, and encodes the result.
type goldenReply struct {
	name, comment string
	header        wire.ReplyHeader
	body          []byte
	again         func(body []byte, count uint32) ([]byte, error)
}

func identities(body []byte, count uint32) (again []byte, err error) {
	list, err := frames.DecodeIdentities(body, count)
	return frames.AppendIdentities(nil, list), err
}

// next decodes where the next page of a SEARCH begins, in an End with these flags.
func next(flags wire.ReplyFlags) func(body []byte, _ uint32) ([]byte, error) {
	return func(body []byte, _ uint32) ([]byte, error) {
		list, err := frames.DecodeNext(body, &wire.ReplyHeader{Flags: flags})
		return frames.AppendIdentities(nil, list), err
	}
}

// results decodes and encodes the results of a batch in which each flag occurs.
func results(body []byte, count uint32) (again []byte, err error) {
	h := wire.ReplyHeader{Count: count, Flags: wire.ReplyNotIndexed | wire.ReplyReplaced}
	list, err := frames.DecodeResults(body, &h, true)
	var marks []byte
	for _, r := range list {
		again, marks = append(again, r.Identity[:]...), append(marks, byte(r.Flags))
	}
	return append(again, marks...), err
}

func object(body []byte, _ uint32) ([]byte, error) {
	o, err := frames.DecodeObject(body)
	return objectBody(o.Identity, o.Name, o.Data), err
}

// objectBody returns the body of an object's frame.
func objectBody(id identity.ID, name, data []byte) []byte {
	return wire.AppendObject(nil, wire.ReplyHeader{}, id, name, data)[wire.ReplyHeaderSize:]
}

func alert(body []byte, _ uint32) ([]byte, error) {
	a, err := frames.DecodeAlert(body)
	return model.AppendAlert(nil, &a), err
}

func missing(body []byte, _ uint32) ([]byte, error) {
	id, code, err := frames.DecodeMissing(body)
	return wire.AppendMissing(nil, id, code), err
}

func goldenReplies() []goldenReply {
	one, two := pattern(0x20), pattern(0x60)
	ada := objectBody(one, []byte("ada"), []byte(`{"age":36}`))
	end, last := wire.KindEnd, wire.ReplyLast
	return []goldenReply{
		{"end-put", "End of a PUT whose input a Task refused: the identity",
			wire.ReplyHeader{Kind: end, Flags: last | wire.ReplyNotIndexed, Count: 1}, one[:], identities},
		{"end-batch", "End of a BATCH: its identities in order", wire.ReplyHeader{Kind: end, Flags: last, Count: 2}, append(one[:], two[:]...), identities},
		{"end-batch-marks", "End of a BATCH of two PUTs: a Task refused the input of the first, the second replaced an object",
			wire.ReplyHeader{Kind: end, Flags: last | wire.ReplyNotIndexed | wire.ReplyReplaced, Count: 2},
			append(append(one[:], two[:]...), byte(wire.ReplyNotIndexed), byte(wire.ReplyReplaced)), results},
		{"end-head", "End of a HEAD: the key that will follow the Core's own", wire.ReplyHeader{Kind: end, Flags: last}, one[:], nil},
		{"end-search", "End of a SEARCH that shows all objects that match", wire.ReplyHeader{Kind: end, Flags: last, Count: 10}, nil, next(last)},
		{"end-search-truncated", "End of a SEARCH of which more objects match: the next page begins after the first of these that is left",
			wire.ReplyHeader{Kind: end, Flags: last | wire.ReplyTruncated, Count: 10}, append(two[:], one[:]...), next(last | wire.ReplyTruncated)},
		{"end-error", "End with a code", wire.ReplyHeader{Kind: end, Flags: last, Code: model.NotFound}, nil, nil},
		{"object-get", "The object of a GET: the only frame of its answer", wire.ReplyHeader{Kind: wire.KindObject, Flags: last}, ada, object},
		{"missing-not-found", "In the answer to a GETMANY: a name that no object has", wire.ReplyHeader{Kind: wire.KindMissing},
			wire.AppendMissing(nil, identity.ID{}, model.NotFound), missing},
		{"missing", "An object that belongs to the answer of a SEARCH or LIST, and is damaged", wire.ReplyHeader{Kind: wire.KindMissing},
			wire.AppendMissing(nil, two, model.Damaged), missing},
		{"object", "One object of a SEARCH or LIST, put without a name", wire.ReplyHeader{Kind: wire.KindObject},
			objectBody(two, nil, []byte("bytes")), object},
		{"identities", "Identities of a SEARCH or LIST", wire.ReplyHeader{Kind: wire.KindIdentities, Count: 2}, append(one[:], two[:]...), identities},
		{"alert", "An alert: a Task named an identity that was never made", wire.ReplyHeader{Kind: wire.KindAlert},
			model.AppendAlert(nil, &model.Alert{LSN: 41, Time: 1_800_000_000, Reason: model.ReasonInvalidIdentity, Collection: "people", Index: "by_age"}), alert},
		{"alert-damaged", "An alert: a stored record failed its check", wire.ReplyHeader{Kind: wire.KindAlert},
			model.AppendAlert(nil, &model.Alert{LSN: 42, Time: 1_800_000_001, Reason: model.ReasonDamagedRecord, Collection: "people", Segment: 3, Offset: 4096}), alert},
	}
}

// head is the head in the vectors: the bytes from 0xc0 to 0xdf, in two halves.
var head = func() model.Head {
	p := pattern(0xc0)
	return model.Head{LSN: 4711, Segment: [16]byte(p[:16]), Chain: [16]byte(p[16:])}
}()

// TestGoldenReplies fixes every kind of reply frame, encoded and decoded. The frames of a status
// are in package engine, which makes them.
func TestGoldenReplies(t *testing.T) {
	for _, g := range goldenReplies() {
		g.header.Number, g.header.BodyLen = 0x0102030405060708, len(g.body)
		g.header.Head = head
		p := append(wire.AppendReplyHeader(nil, &g.header), g.body...)
		testutil.Golden(t, filepath.Join("testdata", "reply-"+g.name+".hex"), g.comment, p)
		if h, code := frames.DecodeReplyHeader(p[:wire.ReplyHeaderSize]); code != model.OK || h != g.header {
			t.Errorf("%s: code %d, header %+v, want %+v", g.name, code, h, g.header)
		}
		if o, _ := frames.DecodeObject(g.body); g.header.Kind == wire.KindObject {
			h := g.header
			h.BodyLen = 0 // AppendObject sets it
			if whole := wire.AppendObject(nil, h, o.Identity, o.Name, o.Data); !bytes.Equal(whole, p) {
				t.Errorf("%s: AppendObject makes another frame: %x", g.name, whole)
			}
		}
		if g.again == nil {
			continue
		}
		if again, err := g.again(g.body, g.header.Count); err != nil || !bytes.Equal(again, g.body) {
			t.Errorf("%s: %v, body decoded and encoded again:\n got %x\nwant %x", g.name, err, again, g.body)
		}
	}
}

// TestGoldenRefusal fixes the frame that refuses a whole connection. Its number belongs to no
// request, and it has no head, since the peer may be a stranger.
func TestGoldenRefusal(t *testing.T) {
	h := wire.ReplyHeader{Kind: wire.KindEnd, Code: model.UnknownPrincipal, Flags: wire.ReplyLast}
	p := wire.AppendReplyHeader(nil, &h)
	testutil.Golden(t, filepath.Join("testdata", "reply-refused"+".hex"), "End of a connection that is refused as a whole", p)
	if got, code := frames.DecodeReplyHeader(p); code != model.OK || got != h {
		t.Errorf("code %d, header %+v", code, got)
	}
}

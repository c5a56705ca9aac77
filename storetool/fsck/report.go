package fsck

import (
	"encoding/hex"
	"fmt"
	"slices"

	"motte/core/identity"
	"motte/core/seglog"
)

// Report is the result of a check.
type Report struct {
	LSN           uint64   `json:"lsn"`            // of the last record
	CheckpointLSN uint64   `json:"checkpoint_lsn"` // LSN of the newest readable checkpoint; 0: there is no checkpoint
	Segments      int      `json:"segments"`
	Checkpoints   int      `json:"checkpoints"`
	Objects       int      `json:"objects"`
	Records       int64    `json:"records"` // with a readable head
	Bodies        int64    `json:"bodies"`  // with a readable body
	Erased        int64    `json:"erased"`  // records of owners whose key is erased
	Bytes         int64    `json:"bytes"`   // of records
	Damage        []Damage `json:"damage"`
	Gone          []Object `json:"gone"`    // live objects that are unreadable
	Changes       []Change `json:"changes"` // unreadable changes of the catalogue
	Unknown       []Range  `json:"unknown"` // records that are wholly unreadable
	Notes         []string `json:"notes"`   // irregularities that are not damage
	Hopeless      string   `json:"hopeless,omitempty"`
}

// Damage is a range of a file whose bytes differ from those written.
type Damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes,omitempty"` // 0: not known
	What   string `json:"what"`
	Lost   string `json:"lost"`
}

// nothing is the loss text for a damaged record that no state needs.
const nothing = "nothing: the state does not need this record"

// Object is an object that is lost.
type Object struct {
	ID         string `json:"id"`
	Collection string `json:"collection"`
	Why        string `json:"why"`
}

// Change is a change of the catalogue that is lost.
type Change struct {
	LSN  uint64 `json:"lsn"`
	What string `json:"what"`
}

// Range is a range of LSNs, with both ends; To is 0 if the end is not known.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to,omitempty"`
}

// String writes a range for people.
func (r Range) String() string {
	if r.To == 0 {
		return fmt.Sprintf("all records from %d on", r.From)
	} else if r.From == r.To {
		return fmt.Sprintf("record %d", r.From)
	}
	return fmt.Sprintf("records %d to %d", r.From, r.To)
}

// Damaged reports whether there is any damage.
func (r *Report) Damaged() bool {
	return len(r.Damage)+len(r.Gone)+len(r.Changes)+len(r.Unknown) > 0 || r.Hopeless != ""
}

// Open reports whether the end of the log is missing, so that the number of lost records is
// unknown.
func (r *Report) Open() bool {
	return slices.ContainsFunc(r.Unknown, func(x Range) bool { return x.To == 0 })
}

// Count counts the wholly unreadable records, except those of an open range.
func (r *Report) Count() (n uint64) {
	for _, x := range r.Unknown {
		if x.To != 0 {
			n += x.To - x.From + 1
		}
	}
	return n
}

// Unseen describes a loss that even whole files can't show: records may have been removed from the
// end of the log.
func (r *Report) Unseen() string {
	seen := fmt.Sprintf("No checkpoint covers records %d to %d", r.CheckpointLSN+1, r.LSN)
	switch {
	case r.CheckpointLSN == 0:
		seen = "There is no checkpoint"
	case r.CheckpointLSN >= r.LSN:
		seen = "The newest checkpoint covers no newer record"
	}
	return fmt.Sprintf("%s, and record %d is the last one here. Newer records could have been removed without a trace: "+
		"an anchor, or a client that remembers a head of the log, would notice", seen, r.LSN)
}

// Loses reports whether any needed data is lost.
func (r *Report) Loses() bool {
	return len(r.Gone)+len(r.Changes)+len(r.Unknown) > 0
}

// found collects damage. It lists each range once, and joins adjacent ranges.
type found struct {
	list []Damage
	seen map[string]bool
}

const step = 8 // bytes: records begin at multiples of it

// add notes damage. It joins adjacent ranges of a search in which no record was found.
func (f *found) add(file string, offset, bytes int64, what string) *Damage {
	if n := len(f.list); n > 0 {
		if d := &f.list[n-1]; d.File == file && d.What == what && d.Bytes > 0 && offset == d.Offset+d.Bytes {
			d.Bytes += bytes
			return d
		}
	}
	key := fmt.Sprint(file, offset)
	d := Damage{File: file, Offset: offset, Bytes: bytes, What: what}
	if f.seen[key] { // it continues the range
		if i := slices.IndexFunc(f.list, func(d Damage) bool { return d.File == file && d.Offset == offset }); i >= 0 {
			d = f.list[i]
			d.Bytes = max(d.Bytes, bytes)
			f.list = slices.Delete(f.list, i, i+1)
		}
	}
	f.seen[key] = true
	f.list = append(f.list, d)
	return &f.list[len(f.list)-1]
}

func idText(id identity.ID) string { return hex.EncodeToString(id[:]) }

// changeNames describes the changes of the catalogue's records.
var changeNames = map[seglog.Kind]string{
	seglog.KindCreateCollection: "a collection was made: its objects are missing",
	seglog.KindDropCollection:   "a collection was dropped: it is back",
	seglog.KindCreateIndex:      "an index was made: make it again",
	seglog.KindDropIndex:        "an index was dropped: it is back",
	seglog.KindRegisterTask:     "a Task was registered: an earlier registration is valid again, if there was one",
	seglog.KindAddPrincipal:     "a principal was added: it is unknown, and objects that it put since then can't be read",
	seglog.KindRemovePrincipal:  "a principal was removed or erased: it is back, with its rights",
	seglog.KindGrant:            "rights were granted: they are missing",
	seglog.KindRevoke:           "rights were revoked: they are valid again",
	seglog.KindQuota:            "a quota was set: the earlier quota is valid again, if there was one",
	seglog.KindRotatePrincipal:  "a principal got another key: its old key is valid again",
	seglog.KindAlert:            "an alert was recorded",
	seglog.KindShelf:            "a Task saved a part of its memory: its index is fed again",
	seglog.KindDrawn:            "bits drawn through an index were recorded: they count as not drawn",
}

// ranges are LSNs of records that were read, in order.
type ranges []Range

func (r *ranges) add(lsn uint64) {
	if n := len(*r); n > 0 && (*r)[n-1].To+1 == lsn {
		(*r)[n-1].To = lsn
		return
	}
	*r = append(*r, Range{lsn, lsn})
}

func (r ranges) has(lsn uint64) bool {
	return slices.ContainsFunc(r, func(x Range) bool { return x.From <= lsn && lsn <= x.To })
}

// missing lists the unread LSNs after from, up to to.
func (r ranges) missing(from, to uint64) (list []Range) {
	slices.SortFunc(r, func(a, b Range) int { return int(int64(a.From - b.From)) })
	for _, x := range append(r, Range{to + 1, to + 1}) {
		if x.From > from+1 {
			list = append(list, Range{from + 1, x.From - 1})
		}
		from = max(from, x.To)
	}
	return list
}

func segmentName(id uint32) string { return fmt.Sprintf("%08d.seg", id) }

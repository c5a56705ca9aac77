package fsck

import (
	"encoding/hex"
	"fmt"
	"slices"

	"motte/core/identity"
	"motte/core/seglog"
)

// Report is what was found in a store.
type Report struct {
	LSN           uint64   `json:"lsn"`            // of the last record
	CheckpointLSN uint64   `json:"checkpoint_lsn"` // up to which the newest checkpoint that can be read has seen the log; 0: there is none
	Segments      int      `json:"segments"`
	Checkpoints   int      `json:"checkpoints"`
	Objects       int      `json:"objects"`
	Records       int64    `json:"records"` // of which the head was opened
	Bodies        int64    `json:"bodies"`  // opened, too
	Erased        int64    `json:"erased"`  // records whose owner's key is gone
	Bytes         int64    `json:"bytes"`   // of records
	Damage        []Damage `json:"damage"`
	Gone          []Object `json:"gone"`    // live objects that can't be read
	Changes       []Change `json:"changes"` // of the catalogue that can't be read
	Unknown       []Range  `json:"unknown"` // records of which nothing can be told
	Notes         []string `json:"notes"`   // what is no damage
	Hopeless      string   `json:"hopeless,omitempty"`
}

// Damage is a place that is not what was written.
type Damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes,omitempty"` // if it is known
	What   string `json:"what"`
	Lost   string `json:"lost"`
}

// nothing is said to be lost where a record lay that nobody needs.
const nothing = "nothing: nobody needs this record"

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

// Range is a range of records, both ends included; To is 0 if it is not known.
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

// Damaged reports whether anything is not what was written.
func (r *Report) Damaged() bool {
	return len(r.Damage)+len(r.Gone)+len(r.Changes)+len(r.Unknown) > 0 || r.Hopeless != ""
}

// Open reports whether nothing tells how many records are lost: the end of the log is
// not there.
func (r *Report) Open() bool {
	return slices.ContainsFunc(r.Unknown, func(x Range) bool { return x.To == 0 })
}

// Count counts the records of which nothing can be told, but for those of an open range.
func (r *Report) Count() (n uint64) {
	for _, x := range r.Unknown {
		if x.To != 0 {
			n += x.To - x.From + 1
		}
	}
	return n
}

// Unseen says what the files can't tell, however whole they are: whether records behind
// the last one were taken away.
func (r *Report) Unseen() string {
	seen := fmt.Sprintf("No checkpoint has seen records %d to %d", r.CheckpointLSN+1, r.LSN)
	switch {
	case r.CheckpointLSN == 0:
		seen = "There is no checkpoint"
	case r.CheckpointLSN >= r.LSN:
		seen = "The newest checkpoint has seen no newer record"
	}
	return fmt.Sprintf("%s, and record %d is the last one here. Newer ones could have been taken away without a trace: "+
		"an anchor tells, or a client that remembers a head of the log", seen, r.LSN)
}

// Loses reports whether anything that somebody needs is lost.
func (r *Report) Loses() bool {
	return len(r.Gone)+len(r.Changes)+len(r.Unknown) > 0
}

// found collects damage: each place once, and what lies side by side as one.
type found struct {
	list []Damage
	seen map[string]bool
}

const step = 8 // bytes: records begin at multiples of it

// add notes damage. Places that are looked at one after the other, because no
// record could be found, are one.
func (f *found) add(file string, offset, bytes int64, what string) *Damage {
	if n := len(f.list); n > 0 {
		if d := &f.list[n-1]; d.File == file && d.What == what && d.Bytes > 0 && offset == d.Offset+d.Bytes {
			d.Bytes += bytes
			return d
		}
	}
	key := fmt.Sprint(file, offset)
	d := Damage{File: file, Offset: offset, Bytes: bytes, What: what}
	if f.seen[key] { // it goes on from there
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

// changeNames says what the records of the catalogue did.
var changeNames = map[seglog.Kind]string{
	seglog.KindCreateCollection: "a collection was made: its objects are not shown",
	seglog.KindDropCollection:   "a collection was dropped: it is there again",
	seglog.KindCreateIndex:      "an index was made: it has to be made again",
	seglog.KindDropIndex:        "an index was dropped: it is there again",
	seglog.KindRegisterTask:     "a Task was registered: an earlier registration holds, if there was one",
	seglog.KindAddPrincipal:     "a principal was added: it is not known, and what it put since can't be read",
	seglog.KindRemovePrincipal:  "a principal was removed or erased: it is there again, with its rights",
	seglog.KindGrant:            "rights were granted: they are not there",
	seglog.KindRevoke:           "rights were revoked: they are there again",
	seglog.KindQuota:            "a quota was set: the one before holds, if there was one",
	seglog.KindRotatePrincipal:  "a principal got another key: the one before is the principal's again",
	seglog.KindAlert:            "an alert was recorded",
	seglog.KindDrawn:            "what an index told was recorded: it counts as not told",
}

// ranges are LSNs that were seen, in order.
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

// missing lists the LSNs after from, up to to, that were not seen.
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

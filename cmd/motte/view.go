package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
	"motte/taskpkg/manifest"
)

// view is a status as JSON.
type view struct {
	Server      *serverView      `json:"server,omitempty"`  // for server administrators
	Storage     *storageView     `json:"storage,omitempty"` // likewise
	Head        headView         `json:"head"`
	HeadNotKept string           `json:"head_not_kept,omitempty"` // why the head is not kept
	Collections []collectionView `json:"collections"`
	Indexes     []indexView      `json:"indexes"`
	Tasks       []taskView       `json:"tasks"`
	Principals  []principalView  `json:"principals"`
	Grants      []grantView      `json:"grants"`
}

type serverView struct {
	Objects        uint64 `json:"objects"`
	LogBytes       uint64 `json:"log_bytes"`
	DiskBytes      uint64 `json:"disk_bytes"` // taken by all files of the data directory
	Segments       uint64 `json:"segments"`
	Alerts         uint64 `json:"alerts"`
	Connections    uint64 `json:"connections"`
	UptimeSeconds  uint64 `json:"uptime_seconds"`
	RootKeyInStore bool   `json:"root_key_in_store"`
	ReadOnly       bool   `json:"read_only"`
	DiskFull       bool   `json:"disk_full"`
}

type storageView struct {
	LiveBytes         uint64 `json:"live_bytes"`
	CheckpointBytes   uint64 `json:"checkpoint_bytes"`
	CheckpointLSN     uint64 `json:"checkpoint_lsn"`
	CheckpointSeconds uint64 `json:"checkpoint_seconds"` // age of the newest checkpoint
	MovedBytes        uint64 `json:"moved_bytes"`        // since the server started
	GivenBackBytes    uint64 `json:"given_back_bytes"`   // likewise
	ScrubbedBytes     uint64 `json:"scrubbed_bytes"`     // likewise
	ScrubPasses       uint64 `json:"scrub_passes"`       // likewise
	ScrubSeconds      uint64 `json:"scrub_seconds"`      // since the last pass ended; 0: no pass has ended since the start
	ScrubDamaged      uint64 `json:"scrub_damaged"`      // records that the scrub found damaged, since the start
}

type headView struct {
	LSN     uint64 `json:"lsn"`
	Segment string `json:"segment"`
	Chain   string `json:"chain"`
}

type collectionView struct {
	Collection   string   `json:"collection"`
	Objects      uint64   `json:"objects"`
	Bytes        uint64   `json:"bytes"`
	QuotaBytes   uint64   `json:"quota_bytes"`   // 0: no limit
	QuotaObjects uint64   `json:"quota_objects"` // likewise
	Indexes      int      `json:"indexes"`
	Rights       []string `json:"rights"`
}

type indexView struct {
	Collection    string  `json:"collection"`
	Index         string  `json:"index"`
	Task          string  `json:"task"`
	Type          string  `json:"type"`
	Ordered       bool    `json:"ordered"`
	Lazy          bool    `json:"lazy"`
	Attribute     bool    `json:"attribute"`
	Resident      bool    `json:"resident"`
	State         string  `json:"state"`
	Upgrade       string  `json:"upgrade"` // none, waiting, building, failing or refused
	Fed           uint64  `json:"fed"`     // while it or its successor is built
	ToFeed        uint64  `json:"to_feed"` // likewise
	Restarts      uint64  `json:"restarts"`
	Refused       uint64  `json:"refused"`
	SetAside      uint64  `json:"set_aside"`                 // inputs over which the Task ended
	LeakedBits    uint64  `json:"leaked_bits"`               // drawn by this principal
	LeftBits      *uint64 `json:"left_bits,omitempty"`       // rest of this principal's budget
	IndexBits     uint64  `json:"index_bits"`                // drawn by all principals
	IndexLeftBits *uint64 `json:"index_left_bits,omitempty"` // rest of the budget of all principals
	Number        uint64  `json:"number,omitempty"`          // 0: not shown
	Process       int     `json:"process,omitempty"`         // process number of its Task, if the server runs on this machine
	Successor     int     `json:"successor,omitempty"`       // process number of its successor; likewise
	Memory        uint64  `json:"memory,omitempty"`          // bytes that its processes take; likewise
	MemoryLimit   uint64  `json:"memory_limit,omitempty"`    // bytes that they may take; likewise

	// Processor time of its processes, and what the host does about the first; likewise.
	ProcessorSeconds float64 `json:"processor_seconds,omitempty"`
	Share            string  `json:"share,omitempty"` // within, lowered or paused

	Queued    uint64          `json:"queued"`      // frames that its Task has not confirmed or answered
	Shelf     uint64          `json:"shelf_bytes"` // of the records of its shelf
	Changes   model.Latencies `json:"changes"`     // that its Tasks confirmed, by duration
	Questions model.Latencies `json:"questions"`   // that they answered, likewise
}

type taskView struct {
	Task        string `json:"task"`
	Measurement string `json:"measurement"`
	manifest.Row
}

type principalView struct {
	Label     string `json:"label"`
	Principal string `json:"principal"`
}

type grantView struct {
	Collection string   `json:"collection"`
	Label      string   `json:"label,omitempty"` // if it may be seen
	Principal  string   `json:"principal"`
	Rights     []string `json:"rights"`
}

// look asks the server for its status.
func look(ctx context.Context, c *client.Client) (*view, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{Head: newHead(c.Head()), Collections: []collectionView{}, Indexes: []indexView{},
		Tasks: []taskView{}, Principals: []principalView{}, Grants: []grantView{}}
	labels, indexes := make(map[[32]byte]string), make(map[string]int)
	if s := status.Server; s != nil {
		v.Server, v.Storage = newServer(s), newStorage(s)
	}
	for i := range status.Tasks {
		v.Tasks = append(v.Tasks, newTask(status.Tasks[i].Task, &status.Tasks[i].Row))
	}
	for _, s := range status.Principals {
		labels[s.Principal] = s.Label
		v.Principals = append(v.Principals, principalView{s.Label, identifier(s.Principal)})
	}
	for i := range status.Indexes {
		indexes[status.Indexes[i].Collection]++
		v.Indexes = append(v.Indexes, newIndex(&status.Indexes[i]))
	}
	for _, s := range status.Collections {
		v.Collections = append(v.Collections, collectionView{s.Collection, s.Objects, s.Bytes, s.Quota.Bytes, s.Quota.Objects,
			indexes[s.Collection], rightNames(s.Rights)})
	}
	for _, s := range status.Grants {
		g := grantView{s.Collection, labels[s.Principal], identifier(s.Principal), rightNames(s.Rights)}
		if g.Collection == "" {
			g.Collection = theServer
		}
		v.Grants = append(v.Grants, g)
	}
	return v, nil
}

func newHead(h client.Head) headView {
	return headView{h.LSN, hex.EncodeToString(h.Segment[:]), hex.EncodeToString(h.Chain[:])}
}

// String writes a head as "motte head" does.
func (h headView) String() string { return fmt.Sprintf("%d %s %s", h.LSN, h.Segment, h.Chain) }

func newStorage(s *model.ServerStatus) *storageView {
	return &storageView{LiveBytes: s.LiveBytes, CheckpointBytes: s.CheckpointBytes, CheckpointLSN: s.CheckpointLSN,
		CheckpointSeconds: frames.Age(s, s.CheckpointTime), MovedBytes: s.MovedBytes, GivenBackBytes: s.FreedBytes,
		ScrubbedBytes: s.ScrubbedBytes, ScrubPasses: s.ScrubPasses, ScrubSeconds: frames.Age(s, s.ScrubTime), ScrubDamaged: s.ScrubDamaged}
}

func newServer(s *model.ServerStatus) *serverView {
	return &serverView{Objects: s.Objects, LogBytes: s.LogBytes, DiskBytes: s.DiskBytes, Segments: s.Segments, Alerts: s.Alerts,
		Connections: s.Connections, UptimeSeconds: frames.Age(s, s.Started),
		RootKeyInStore: s.Flags&model.ServerKeyInStore != 0, ReadOnly: s.Flags&model.ServerReadOnly != 0,
		DiskFull: s.Flags&model.ServerDiskFull != 0}
}

func newIndex(s *wire.IndexStatus) indexView {
	x := indexView{Collection: s.Collection, Index: s.Index, Task: s.Task, Type: client.TypeName(s.Type),
		Ordered: s.Options&model.OptionOrdered != 0, Lazy: s.Options&model.OptionLazy != 0, Attribute: s.Options&model.OptionAttribute != 0,
		Resident: s.Options&model.OptionResident != 0, State: client.StateName(s.State), Upgrade: client.UpgradeName(s.Upgrade),
		Fed: s.Fed, ToFeed: s.ToFeed, LeakedBits: s.LeakedBits, Restarts: s.Restarts, Refused: s.Refused, SetAside: s.SetAside,
		LeftBits: capped(s.LeftBits), IndexBits: s.IndexBits, IndexLeftBits: capped(s.IndexLeftBits), Number: uint64(s.Number),
		Queued: s.Queued, Shelf: s.Shelf, Changes: s.Changes, Questions: s.Questions}
	if !x.shown() {
		x.IndexLeftBits = nil
	}
	return x
}

// shown reports whether the server shows this principal the state of the index, and the numbers
// for administrators.
func (x *indexView) shown() bool { return x.State != client.StateName(model.IndexNotShown) }

// capped returns the rest of a budget, or nil if there is no budget.
func capped(left uint64) *uint64 {
	if left == math.MaxUint64 {
		return nil
	}
	return &left
}

func newTask(name string, row *model.Row) taskView {
	return taskView{Task: name, Measurement: identifier(row.Measurement), Row: manifest.NewRow(row)}
}

// rightNames lists rights by name.
func rightNames(rights client.Rights) []string {
	if rights == 0 {
		return []string{}
	}
	return strings.Split(client.RightsName(rights), ",")
}

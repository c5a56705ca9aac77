package frames

import (
	"bytes"
	"path/filepath"
	"testing"

	"motte/core/model"
	"motte/core/wire"
	"motte/internal/testutil"
)

// appendStatus encodes a single status item like the Core.
func appendStatus(s *Status) []byte {
	switch {
	case s.Server != nil:
		return wire.AppendServerStatus(nil, s.Server)
	case len(s.Tasks) > 0:
		return wire.AppendTaskStatus(nil, s.Tasks[0].Task, AppendRow(nil, &s.Tasks[0].Row), encoded(s.Tasks[0].Before))
	case len(s.Principals) > 0:
		return wire.AppendPrincipalStatus(nil, &s.Principals[0])
	case len(s.Collections) > 0:
		return wire.AppendCollectionStatus(nil, &s.Collections[0])
	case len(s.Grants) > 0:
		return wire.AppendGrantStatus(nil, &s.Grants[0])
	default:
		return wire.AppendIndexStatus(nil, &s.Indexes[0])
	}
}

// TestConfigurationItems: an item has its kind, and then the configuration, which may be empty.
func TestConfigurationItems(t *testing.T) {
	for _, want := range []string{"", `{"path":"/age"}`} {
		p := wire.AppendConfiguration(nil, []byte(want))
		if got, err := DecodeConfiguration(p); err != nil || string(got) != want {
			t.Errorf("%q is decoded as %q, %v", want, got, err)
		}
		if err := new(Status).Add(p); err == nil {
			t.Error("a status has a configuration")
		}
	}
	for _, p := range [][]byte{nil, {byte(wire.StatusIndex)}, {byte(wire.StatusConfiguration) + 1, 1}} {
		if _, err := DecodeConfiguration(p); err == nil {
			t.Errorf("%x is accepted", p)
		}
	}
}

// TestStatusLimits: an item has exactly the length of its kind, and its fields are valid.
func TestStatusLimits(t *testing.T) {
	row := model.Row{Operations: TaskSearch | TaskCount, MaxInput: 1, MaxResults: 1, Deadline: 1, Memory: 1}
	bad := row
	bad.Operations = 0
	items := map[string][]byte{
		"the server":               wire.AppendServerStatus(nil, &model.ServerStatus{Objects: 1}),
		"a Task":                   wire.AppendTaskStatus(nil, "t", AppendRow(nil, &row), nil),
		"a Task that was upgraded": wire.AppendTaskStatus(nil, "t", AppendRow(nil, &row), AppendRow(nil, &row)),
		"a principal":              wire.AppendPrincipalStatus(nil, &wire.PrincipalStatus{Label: "alice"}),
		"a collection":             wire.AppendCollectionStatus(nil, &wire.CollectionStatus{Collection: "c", Objects: 1}),
		"a grant":                  wire.AppendGrantStatus(nil, &wire.GrantStatus{Collection: "c"}),
		"an index":                 wire.AppendIndexStatus(nil, &wire.IndexStatus{Collection: "c", Index: "i", Task: "t", State: model.IndexServing}),
	}
	for name, p := range items {
		if err := new(Status).Add(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := new(Status).Add(p[:len(p)-1]); err == nil {
			t.Errorf("%s is accepted without its last byte", name)
		}
		if err := new(Status).Add(append(bytes.Clone(p), 0)); err == nil {
			t.Errorf("%s is accepted with another byte", name)
		}
	}
	gap := bytes.Clone(items["a grant"])
	gap[2] = 'c' // after a zero byte
	gap[1] = 0
	for name, p := range map[string][]byte{
		"nothing":                           nil,
		"a kind below the first":            {0},
		"a kind above the last":             {byte(wire.StatusIndex) + 1},
		"a Task with an invalid row":        wire.AppendTaskStatus(nil, "t", AppendRow(nil, &bad), nil),
		"a Task with an invalid row before": wire.AppendTaskStatus(nil, "t", AppendRow(nil, &row), AppendRow(nil, &bad)),
		"a Task with half a row before":     wire.AppendTaskStatus(nil, "t", AppendRow(nil, &row), AppendRow(nil, &row)[:40]),
		"a name with a zero byte":           gap,
	} {
		if err := new(Status).Add(p); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// FuzzStatus: every accepted item has a single encoding. The corpus begins with golden frames of
// the Core.
func FuzzStatus(f *testing.F) {
	paths, err := filepath.Glob("../../core/wire/testdata/reply-status-*.hex")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no golden frames: %v", err)
	}
	for _, path := range paths {
		f.Add(testutil.ReadGolden(f, path)[wire.ReplyHeaderSize:])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var s Status
		if err := s.Add(p); err == nil && !bytes.Equal(appendStatus(&s), p) {
			t.Fatalf("encoded again as\n%x, was\n%x", appendStatus(&s), p)
		}
	})
}

// encoded returns an encoded row; of no row, nothing.
func encoded(row *model.Row) []byte {
	if row == nil {
		return nil
	}
	return AppendRow(nil, row)
}

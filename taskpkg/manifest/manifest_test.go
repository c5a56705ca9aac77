package manifest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"motte/client/frames"
	"motte/core/model"
)

const fullManifest = `{
  "version": 1, "name": "near", "operations": ["search", "count", "delete"], "type": "bytes", "ordered": true,
  "max_input": 1048576, "max_results": 1000, "deadline_ms": 2000, "memory": 536870912, "shelf": 67108864,
  "leak_budget": 10000, "index_leak_budget": 1000000
}`

func TestAManifestHasTheWholeRow(t *testing.T) {
	m, err := Parse([]byte(fullManifest))
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{"near", model.Row{Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete, Type: model.TypeBytes,
		Ordered: true, MaxInput: 1 << 20, MaxResults: 1000, Deadline: 2000, Memory: 512 << 20, Shelf: 64 << 20, LeakBudget: 10_000, IndexBudget: 1_000_000}}
	if *m != want {
		t.Errorf("%+v, want %+v", *m, want)
	}
	row := reflect.ValueOf(m.Row)
	for i := range row.NumField() {
		if name := row.Type().Field(i).Name; row.Field(i).IsZero() != (name == "Measurement") {
			t.Errorf("%s of the row is zero: %v; a manifest has all but the measurement", name, row.Field(i).IsZero())
		}
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ old, new, why string }{
		{`"version": 1`, `"version": 2`, "version is 2"},
		{`"version": 1, `, ``, "version is 0"},
		{`"name": "near"`, `"name": "Near"`, "name has to be"},
		{`"name": "near"`, `"name": "../near"`, "name has to be"},
		{`"name": "near"`, `"name": "near/x"`, "name has to be"},
		{`"name": "near", `, ``, "name has to be"},
		{`"near"`, `"` + strings.Repeat("n", model.MaxIdentifier+1) + `"`, "name has to be"},
		{`"count"`, `"sort"`, "operations"},
		{`"count"`, `"search"`, "given twice"},
		{`["search", "count", "delete"]`, `[]`, "operations is missing"},
		{`"bytes"`, `"blob"`, "unknown data type"},
		{`"type": "bytes", `, ``, "unknown data type"},
		{`1048576`, `0`, "max_input has to be"},
		{`1048576`, `16777217`, "max_input has to be"},
		{`1048576`, `-1`, "max_input"},
		{`1048576`, `1e6`, "max_input"},
		{`1048576`, `"1MiB"`, "max_input"},
		{`1000,`, `0,`, "max_results has to be"},
		{`1000,`, `1048577,`, "max_results has to be"},
		{`2000`, `0`, "deadline_ms has to be"},
		{`2000`, `600001`, "deadline_ms has to be"},
		{`2000`, `4294967297`, "deadline_ms"},
		{`536870912`, `0`, "memory is missing"},
		{`536870912`, `18446744073709551616`, "memory"},
		{`67108864`, fmt.Sprint(uint64(model.MaxShelf) + 1), "shelf has to be"},
		{`true`, `"yes"`, "ordered"},
		{`"ordered"`, `"Ordered"`, `no member "/Ordered"`},
		{`"ordered": true`, `"ordered": null`, "is null"},
		{`"ordered": true`, `"ordered": true, "ordered": true`, "given twice"},
		{`"leak_budget"`, `"budget"`, `no member "/budget"`},
		{`}`, `} {}`, "not JSON"},
		{fullManifest, `[]`, "not a JSON object"},
		{fullManifest, ``, "not JSON"},
	} {
		text := strings.Replace(fullManifest, c.old, c.new, 1)
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s in the place of %s: %v, want: %s", c.new, c.old, err, c.why)
		}
	}
}

// FuzzManifest: the Core accepts the row of each manifest that is accepted.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(fullManifest))
	f.Add([]byte(`{"version":1,"name":"a","operations":["count"],"type":"any","max_input":1,"max_results":1,"deadline_ms":1,"memory":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%v is not ErrInvalid", err)
			}
			return
		}
		row, err := model.DecodeRow(frames.AppendRow(nil, &m.Row))
		if err != nil || row != m.Row || !model.ValidIdentifier(m.Name) {
			t.Errorf("the Core refuses the row of %s: %v", text, err)
		}
	})
}

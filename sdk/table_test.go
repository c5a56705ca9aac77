package sdk

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawValue draws values that are near each other, and values that are far apart.
func drawValue(t *rapid.T) (v Value) {
	v[rapid.SampledFrom([]int{0, 1, 3, 15}).Draw(t, "byte")] = rapid.Byte().Draw(t, "high")
	v[15] |= byte(rapid.IntRange(0, 3).Draw(t, "low"))
	return v
}

// TestTableIsASortedMap compares a table with a map.
func TestTableIsASortedMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := table{untagged: rapid.Bool().Draw(t, "untagged")}, make(map[Value]tag)
		insert := func(t *rapid.T) {
			v, g := drawValue(t), tag{rapid.Byte().Draw(t, "tag")}
			id := join(&v, &g)
			_, had := model[v]
			if got := table.put(&id); got != had {
				t.Fatalf("put(%x) is %v, want %v", v, got, had)
			}
			if model[v] = g; table.untagged {
				model[v] = tag{}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": insert,
			"put many": func(t *rapid.T) {
				for range 60 {
					insert(t)
				}
			},
			"drop": func(t *rapid.T) {
				v := drawValue(t)
				_, had := model[v]
				if got := table.drop(&v); got != had {
					t.Fatalf("drop(%x) is %v, want %v", v, got, had)
				}
				delete(model, v)
			},
			"drop through": func(t *rapid.T) {
				last := drawValue(t)
				table.dropThrough(&last)
				maps.DeleteFunc(model, func(v Value, _ tag) bool { return !lessValue(&last, &v) })
			},
			"drop tags": func(*rapid.T) {
				table.dropTags()
				for v := range model {
					model[v] = tag{}
				}
			},
			"": func(t *rapid.T) { checkTable(t, &table, model) },
		})
	})
}

func checkTable(t *rapid.T, table *table, model map[Value]tag) {
	want := slices.SortedFunc(maps.Keys(model), func(a, b Value) int { return compareValues(&a, &b) })
	from := drawValue(t)
	at, ok := slices.BinarySearchFunc(want, from, func(a, b Value) int { return compareValues(&a, &b) })
	if g, has := table.get(&from); has != ok || has && g != model[from] {
		t.Fatalf("get(%x) is %x, %v; want %x, %v", from, g, has, model[from], ok)
	}
	first, some := table.atLeast(&from)
	if some != (at < len(want)) || some && first != want[at] {
		t.Fatalf("atLeast(%x) is %x, %v; want it among %x", from, first, some, want[at:])
	}
	var got []Value
	table.ascend(&from, func(v *Value, g *tag) bool {
		if (g == nil) != table.untagged || g != nil && *g != model[*v] {
			t.Fatalf("the tag of %x is %x, want %x", *v, g, model[*v])
		}
		got = append(got, *v)
		return true
	})
	if !slices.Equal(got, want[at:]) || table.count != len(want) {
		t.Fatalf("%d values from %x of %d, want %d of %d", len(got), from, table.count, len(want)-at, len(want))
	}
}

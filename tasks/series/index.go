package main

import (
	"cmp"
	"errors"
	"fmt"
	"iter"

	"github.com/tidwall/btree"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// index is the Task.
type index struct {
	source  source
	ordered bool

	all       *btree.BTreeG[*series] // by key and owner
	byOwner   map[sdk.Owner]*btree.Map[string, *series]
	chunks    chunks
	directory directory

	// pending has the objects that are restored, until Restored puts them into chunks.
	pending map[sdk.Value]pending
}

// options is the configuration.
type options struct {
	Time   *string `json:"time"`
	Unit   *string `json:"unit"`
	Series any     `json:"series"`
	Value  *string `json:"value"`
}

var errOptions = errors.New("the configuration does not make sense")

// maxParts bounds the parts of a key.
const maxParts = 8

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	var o options
	if err := ijson.Decode(c.Options, &o); err != nil {
		return fmt.Errorf("%w: %w", errOptions, err)
	}
	if c.Type != model.TypeAny || o.Time == nil {
		return fmt.Errorf("%w: want \"time\", and no data type", errOptions)
	}
	if o.Unit != nil {
		ok := false
		if x.source.unit, ok = units[*o.Unit]; !ok {
			return fmt.Errorf("%w: unit %q", errOptions, *o.Unit)
		}
	}
	var err error
	if x.source.time, err = pointer.Parse(*o.Time); err != nil {
		return err
	}
	if o.Value != nil {
		x.source.hasValue = true
		if x.source.value, err = pointer.Parse(*o.Value); err != nil {
			return err
		}
	}
	if x.source.key, err = keyPointers(o.Series); err != nil {
		return err
	}
	x.ordered = c.Ordered
	x.all = btree.NewBTreeGOptions(func(a, b *series) bool { return a.compare(b) < 0 }, btree.Options{NoLocks: true})
	x.byOwner = make(map[sdk.Owner]*btree.Map[string, *series])
	return nil
}

// keyPointers reads the pointers to the parts of a key: none, one, or a list.
func keyPointers(given any) (list []pointer.Pointer, err error) {
	parts, ok := given.([]any)
	switch {
	case given == nil:
		return nil, nil
	case !ok:
		parts = []any{given}
	case len(parts) == 0 || len(parts) > maxParts:
		return nil, fmt.Errorf("%w: a key has 1 to %d parts", errOptions, maxParts)
	}
	for _, part := range parts {
		text, ok := part.(string)
		if !ok {
			return nil, fmt.Errorf("%w: %v is not a JSON Pointer", errOptions, part)
		}
		p, err := pointer.Parse(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// Apply implements sdk.Index. Each change first drops the object under the same value.
func (x *index) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		x.drop(c.Identity.Value())
		if c.Remove {
			continue
		}
		key, s, ok, err := x.source.read(c.Input)
		switch {
		case err != nil:
			c.Refuse()
		case !ok:
			c.Skip()
		default:
			x.hold(c.Identity, c.Owner, key, s)
		}
	}
}

// hold holds an object, whose value is not held.
func (x *index) hold(id sdk.Identity, owner sdk.Owner, key string, s sample) {
	if x.pending != nil {
		x.pending[id.Value()] = pending{id: id, owner: owner, key: key, sample: s}
		return
	}
	x.insert(x.seriesOf(key, owner), id, s)
}

// seriesOf returns the series of a key and an owner. A new one is empty, and must not stay so.
func (x *index) seriesOf(key string, owner sdk.Owner) *series {
	own := x.byOwner[owner]
	if own == nil {
		own = new(btree.Map[string, *series])
		x.byOwner[owner] = own
	}
	s, ok := own.Get(key)
	if !ok {
		s = &series{key: key, owner: owner}
		own.Set(key, s)
		x.all.Set(s)
	}
	return s
}

// dropSeries drops an empty series.
func (x *index) dropSeries(s *series) {
	own := x.byOwner[s.owner]
	own.Delete(s.key)
	if own.Len() == 0 {
		delete(x.byOwner, s.owner)
	}
	x.all.Delete(s)
}

// drop drops the object with a value, if it is held.
func (x *index) drop(v sdk.Value) {
	if x.pending != nil {
		delete(x.pending, v)
		return
	}
	if c, at := x.find(v); c != nil {
		x.remove(c, at)
	}
}

// Search implements sdk.Index.
func (x *index) Search(asked sdk.Query) (iter.Seq[sdk.Identity], error) {
	q, err := x.parse(asked.Predicate)
	if err != nil {
		return nil, err
	}
	f := &finder{index: x, query: q, asked: asked}
	if len(asked.After) > 0 {
		if f.behind = f.anchor(); f.behind == nil {
			return nil, sdk.ErrGone
		}
	}
	if len(asked.Within) > 0 && q.sampling.pick == each {
		return f.gather(), nil
	}
	return f.walk, nil
}

// compare orders series by key and owner.
func (s *series) compare(t *series) int {
	return cmp.Or(cmp.Compare(s.key, t.key), cmp.Compare(s.owner, t.owner))
}

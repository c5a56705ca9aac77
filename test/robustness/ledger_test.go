package robustness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"motte/client"
)

// The records of the kill test. Each name has one writer, which numbers the versions of the
// name. A version is a content or a deletion. Version 0 means that there is no object yet.

// fate says whether a version took effect.
type fate int

const (
	asked   fate = iota // no answer yet
	took                // the version was acknowledged, or a read found it
	tookNot             // the connection was lost, and a read did not find the version
)

// version is a state of a name.
type version struct {
	deleted  bool
	fate     fate
	identity client.Identity // set if the version took effect
}

// account is the record of all requests for a name.
type account struct {
	name   string
	number int // number of the name, and its key in the indexes

	mu       sync.Mutex
	versions []version
	current  int // the last version that took effect
}

func newAccount(name string, number int) *account {
	return &account{name: name, number: number, versions: []version{{deleted: true, fate: took}}}
}

// ask begins a new version.
func (a *account) ask(deleted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.versions = append(a.versions, version{deleted: deleted})
}

// settle records the fate of the last version.
func (a *account) settle(f fate, id client.Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := len(a.versions) - 1
	a.versions[last].fate, a.versions[last].identity = f, id
	if f == took {
		a.current = last
	}
}

// state returns the last version that took effect, the number of requested versions, and whether
// there is an object.
func (a *account) state() (current, asked int, exists bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current, len(a.versions) - 1, !a.versions[a.current].deleted
}

// identity returns the identity of the present object.
func (a *account) identity() client.Identity {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.versions[a.current].identity
}

// deletes reports whether the last version is a deletion.
func (a *account) deletes() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.versions[len(a.versions)-1].deleted
}

// explain says why a read that saw a version (0: no object) must be wrong. It returns "" if the
// read may be right. When the read began, version from had taken effect, so the read must see
// that or a later version.
func (a *account) explain(from, seen int) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := from; i < len(a.versions); i++ {
		v := a.versions[i]
		if v.fate != tookNot && (seen == 0 && v.deleted || seen > 0 && seen == i && !v.deleted) {
			return ""
		}
	}
	var history []string
	for i, v := range a.versions[from:] {
		history = append(history, fmt.Sprintf("%d %s %s", from+i, map[bool]string{false: "put", true: "deleted"}[v.deleted],
			[]string{"without an answer yet", "took effect", "did not take effect"}[v.fate]))
	}
	return fmt.Sprintf("a read of %s returns version %d (0: no object), after version %d had taken effect; the versions since: %s",
		a.name, seen, from, strings.Join(history, ", "))
}

// object is the content of a version. Its bytes follow from the name and the number.
type object struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	N       int    `json:"n"` // key in the index that reads the object
	Pad     string `json:"pad"`
}

func (a *account) data(number int) []byte {
	pad := strings.Repeat(fmt.Sprint(a.name, number, " "), (number*number*37+a.number*101)%600)
	p, err := json.Marshal(object{a.name, number, a.number, pad})
	if err != nil {
		panic(err)
	}
	return p
}

// ledger holds the records of all names. It is complete before the first write.
type ledger map[string]*account

// number returns the version of an object. The object must equal a requested version, byte by
// byte.
func (l ledger) number(o client.Object) (*account, int, error) {
	var d object
	if err := json.Unmarshal(o.Data, &d); err != nil {
		return nil, 0, fmt.Errorf("%q has a content that no request put: %w", o.Name, err)
	}
	a := l[o.Name]
	if a == nil || d.Name != o.Name || !bytes.Equal(o.Data, a.data(d.Version)) {
		return nil, 0, fmt.Errorf("%q has a content that no request put: version %d of %q, %d bytes", o.Name, d.Version, d.Name, len(o.Data))
	}
	if _, asked, _ := a.state(); d.Version < 1 || d.Version > asked {
		return nil, 0, fmt.Errorf("%q has version %d, but only %d were requested", o.Name, d.Version, asked)
	}
	return a, d.Version, nil
}

// TestLedgerTellsReadsApart: the versions that a read may see follow from the writes
// acknowledged before it.
func TestLedgerTellsReadsApart(t *testing.T) {
	a := newAccount("a", 0)
	for _, v := range []struct {
		deleted bool
		fate    fate
	}{{false, took}, {false, tookNot}, {false, took}, {true, took}, {false, asked}} {
		a.ask(v.deleted)
		a.settle(v.fate, client.Identity{})
	}
	for _, tc := range []struct {
		from, seen int
		right      bool
	}{
		{0, 0, true}, {0, 1, true}, {0, 3, true}, {0, 5, true},
		{0, 2, false}, // this version never took effect
		{0, 4, false}, // a deletion has no content
		{0, 6, false}, // this version was not requested
		{1, 0, true}, {3, 1, false}, {3, 3, true}, {3, 0, true},
		{4, 3, false}, {4, 0, true}, {4, 5, true},
	} {
		if why := a.explain(tc.from, tc.seen); (why == "") != tc.right {
			t.Errorf("a read that began at version %d and saw %d is accepted: %v; want %v (%s)", tc.from, tc.seen, why == "", tc.right, why)
		}
	}
	if o := (client.Object{Name: "a", Data: a.data(3)}); len(o.Data) > 0 {
		l := ledger{"a": a}
		if _, n, err := l.number(o); err != nil || n != 3 {
			t.Errorf("the content of version 3 is recognised as version %d, %v", n, err)
		}
		o.Data[len(o.Data)-3] ^= 1
		if _, _, err := l.number(o); err == nil {
			t.Error("an altered content is recognised as a version; want an error")
		}
	}
}

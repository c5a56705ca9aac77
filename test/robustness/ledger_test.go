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

// The books of the kill test. Each name has one writer, which numbers the
// versions that it gives it; a version is a content or a deletion. Version 0 is
// that there is nothing yet.

// fate is what became of a version.
type fate int

const (
	asked   fate = iota // no answer yet
	took                // it was acknowledged, or found there
	tookNot             // the connection was lost, and it is not there
)

// version is one state of a name.
type version struct {
	deleted  bool
	fate     fate
	identity client.Identity // if it took
}

// account is all that was asked for one name.
type account struct {
	name   string
	number int // of the name, from which its key in the indexes is made

	mu       sync.Mutex
	versions []version
	current  int // the last one that took
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

// settle says what became of the last version.
func (a *account) settle(f fate, id client.Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := len(a.versions) - 1
	a.versions[last].fate, a.versions[last].identity = f, id
	if f == took {
		a.current = last
	}
}

// state returns the last version that took, how many were asked for, and
// whether there is an object.
func (a *account) state() (current, asked int, exists bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current, len(a.versions) - 1, !a.versions[a.current].deleted
}

// identity is that of the object which is there.
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

// explain says why a read that saw a version (0: nothing) can't be right; "" if
// it can. The read began when version from had taken, so it must see that one
// or a later one.
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
			[]string{"without an answer yet", "there", "not there"}[v.fate]))
	}
	return fmt.Sprintf("%s shows version %d (0: nothing), after version %d had taken effect; the versions since: %s",
		a.name, seen, from, strings.Join(history, ", "))
}

// object is the content of a version: its size and all of its bytes follow from
// the name and the number.
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

// ledger is the books of all names. They are made before anything is written.
type ledger map[string]*account

// number returns the version that an object is, if it is one that was asked
// for, byte by byte.
func (l ledger) number(o client.Object) (*account, int, error) {
	var d object
	if err := json.Unmarshal(o.Data, &d); err != nil {
		return nil, 0, fmt.Errorf("%q holds what nobody wrote: %w", o.Name, err)
	}
	a := l[o.Name]
	if a == nil || d.Name != o.Name || !bytes.Equal(o.Data, a.data(d.Version)) {
		return nil, 0, fmt.Errorf("%q holds what nobody wrote: version %d of %q, %d bytes", o.Name, d.Version, d.Name, len(o.Data))
	}
	if _, asked, _ := a.state(); d.Version < 1 || d.Version > asked {
		return nil, 0, fmt.Errorf("%q holds version %d; %d were asked for", o.Name, d.Version, asked)
	}
	return a, d.Version, nil
}

// TestLedgerTellsReadsApart: what a read may see follows from what was
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
		{0, 2, false}, // it never took effect
		{0, 4, false}, // a deletion has no content
		{0, 6, false}, // nobody asked for it
		{1, 0, true}, {3, 1, false}, {3, 3, true}, {3, 0, true},
		{4, 3, false}, {4, 0, true}, {4, 5, true},
	} {
		if why := a.explain(tc.from, tc.seen); (why == "") != tc.right {
			t.Errorf("a read that began at version %d and saw %d: right is %v, want %v (%s)", tc.from, tc.seen, why == "", tc.right, why)
		}
	}
	if o := (client.Object{Name: "a", Data: a.data(3)}); len(o.Data) > 0 {
		l := ledger{"a": a}
		if _, n, err := l.number(o); err != nil || n != 3 {
			t.Errorf("version 3 is taken for %d, %v", n, err)
		}
		o.Data[len(o.Data)-3] ^= 1
		if _, _, err := l.number(o); err == nil {
			t.Error("an altered content is taken for one that was written")
		}
	}
}

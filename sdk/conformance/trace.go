package conformance

import (
	"fmt"
	"strings"

	"motte/core/identity"
	"motte/core/taskwire"
)

// shown bounds the frames of a trace in each direction, and the identities of a frame.
const (
	shownFrames     = 6
	shownIdentities = 4
	shownBytes      = 80 // of an input or a predicate
)

// trace remembers the last frames of a process, in words.
type trace struct{ sent, received ring }

// ring holds the last lines that were added.
type ring struct {
	last  []string
	count int // of all lines
}

func (r *ring) add(line string) {
	if len(r.last) == shownFrames {
		r.last = append(r.last[:0], r.last[1:]...)
	}
	r.last = append(r.last, line)
	r.count++
}

// lines returns the last lines, and how many came before.
func (r *ring) lines() []string {
	if r.count > len(r.last) {
		return append([]string{fmt.Sprintf("%d frames before", r.count-len(r.last))}, r.last...)
	}
	return r.last
}

// excerpt quotes the beginning of an input or a predicate.
func excerpt(p []byte) string {
	if len(p) <= shownBytes {
		return fmt.Sprintf("%q", p)
	}
	return fmt.Sprintf("%q… (%d bytes)", p[:shownBytes], len(p))
}

// namedIn writes identities by the names of their objects.
func (k *collection) namedIn(ids []identity.ID) string {
	var words []string
	for _, id := range ids[:min(len(ids), shownIdentities)] {
		words = append(words, k.name(id))
	}
	if len(ids) > len(words) {
		words = append(words, fmt.Sprintf("… (%d in all)", len(ids)))
	}
	return strings.Join(words, ", ")
}

// answerText writes a frame of the Task in words.
func (k *collection) answerText(a taskwire.Answer) string {
	switch a.Type {
	case taskwire.Applied:
		return fmt.Sprintf("Applied %d", a.Seq)
	case taskwire.Failed:
		return fmt.Sprintf("Failed %d: %s", a.Seq, failureText(a.Failure))
	}
	if a.Type != taskwire.Found {
		return shelfText(a)
	}
	text := fmt.Sprintf("Found %d: %s, %s", a.Seq, stateText(a.State), counted(len(a.Found), "identity", "identities"))
	if len(a.Found) > 0 {
		text += ": " + k.namedIn(a.Found)
	}
	return text
}

// shelfText writes a frame of the shelf in words.
func shelfText(a taskwire.Answer) string {
	text := fmt.Sprintf("%s %d: ", kindText(a.Type), a.Seq)
	switch {
	case a.Type == taskwire.Blob:
		return text + fmt.Sprintf("number %d, %s", a.Number, counted(len(a.Blob), "byte", "bytes"))
	case a.Type == taskwire.Set && a.Changed:
		return text + fmt.Sprintf("changed, without %s", counted(len(a.Dropped), "blob", "blobs"))
	case a.Type == taskwire.Set:
		return text + "nothing changed"
	}
	return text + fmt.Sprintf("bits %.16x", a.Bits)
}

// kindText names a type of frames.
func kindText(t taskwire.Type) string {
	return map[taskwire.Type]string{taskwire.Configure: "Configure", taskwire.Insert: "Insert", taskwire.Remove: "Remove",
		taskwire.Search: "Search", taskwire.Stored: "Stored", taskwire.Save: "Save", taskwire.Runs: "Runs", taskwire.List: "List",
		taskwire.Void: "Void", taskwire.Applied: "Applied", taskwire.Found: "Found", taskwire.Failed: "Failed",
		taskwire.Blob: "Blob", taskwire.Set: "Set", taskwire.Differ: "Differ", taskwire.Lacks: "Lacks"}[t]
}

func stateText(s taskwire.State) string {
	return [...]string{"last", "continues", "more"}[s]
}

func failureText(f taskwire.Failure) string {
	return fmt.Sprintf("failure %d (%s)", f, [...]string{"", "configuration", "input", "query", "too expensive", "gone"}[f])
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// queryText writes a Search in words.
func (k *collection) queryText(seq uint64, q *taskwire.Query) string {
	text := fmt.Sprintf("Search %d: limit %d", seq, q.Limit)
	if q.Owner != taskwire.AllOwners {
		text += fmt.Sprintf(", owner %d", q.Owner)
	}
	if len(q.After) > 0 {
		text += ", after " + k.namedIn(q.After)
	}
	if len(q.Within) > 0 {
		text += fmt.Sprintf(", %s: %s", counted(len(q.Within), "candidate", "candidates"), k.namedIn(q.Within))
	}
	return text + ", predicate " + excerpt(q.Predicate)
}

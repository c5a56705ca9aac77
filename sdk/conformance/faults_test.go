package conformance_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"motte/internal/testutil"
	"motte/sdk/conformance"
)

// fault is a fault of test/faultytask, the check that finds it, and the rule that the check names.
type fault struct{ name, check, rule string }

// faults has a fault for each rule.
var faults = []fault{
	{"ends at the start", "process/start", "runs until the Core closes"},
	{"confirms nothing", "process/start", "within the deadline"},
	{"confirms too much", "process/start", "not a higher one than the last frame"},
	{"sends an unknown type", "process/start", "a length that its type allows"},
	{"sends text", "process/start", "a length that its type allows"},
	{"refuses its configuration", "process/start", "confirms the configuration that it can use"},
	{"lives on after the end of the channel", "process/end", "ends when the Core closes"},
	{"takes positions for times", "process/again", "exactly the inputs that the case says"},
	{"accepts every configuration", "configuration/refused", "refuses another with failure 1"},
	{"ends at a long configuration", "configuration/long", "runs until the Core closes"},
	{"takes a read for a frame", "frames/bytewise", "runs until the Core closes"},
	{"takes a read for a frame", "frames/cut", "runs until the Core closes"},
	{"handles one frame of a read", "frames/together", "within the deadline"},
	{"has a short buffer", "frames/long", "runs until the Core closes"},
	{"confirms no lone change", "changes/alone", "within the deadline"},
	{"confirms twice", "changes/alone", "a higher number than the Applied before it"},
	{"finds too much", "changes/found", "exactly the inputs that the case says"},
	{"leaves out an object", "changes/found", "exactly the inputs that the case says"},
	{"makes up an identity", "changes/found", "only identities that it was sent"},
	{"has another order", "changes/found", "in the order that the case says"},
	{"refuses an input", "changes/found", "accepts the inputs and the predicates"},
	{"refuses a predicate", "changes/found", "accepts the inputs and the predicates"},
	{"names an object twice", "changes/found", "names each object once"},
	{"refuses in the middle of an answer", "changes/found", "before any identity for it"},
	{"is gone without a page", "changes/found", "fits the frame that it refuses"},
	{"sends an empty frame", "changes/found", "state 1 names at least one identity"},
	{"says more below the limit", "changes/found", "state 2 ends an answer that has exactly as many"},
	{"answers twice", "changes/found", "answered in their order"},
	{"answers only a few Searches", "changes/found", "within the deadline"},
	{"holds what was replaced", "changes/replaced", "in place of the entry under the same value"},
	{"holds an identity twice", "changes/same", "names each object once"},
	{"confirms no removal", "changes/removed", "within the deadline"},
	{"holds what was removed", "changes/removed", "After a Remove"},
	{"ends when it holds nothing to remove", "changes/unknown", "runs until the Core closes"},
	{"removes the named identity alone", "changes/unknown", "After a Remove"},
	{"takes positions for times", "changes/positions", "in place of the entry under the same value"},
	{"holds what was removed", "changes/many", "After a Remove"},
	{"refuses no input", "refusals/input", "refuses the inputs that the case says"},
	{"refuses after it confirms", "refusals/input", "refuses the inputs that the case says"},
	{"refuses twice", "refusals/input", "refused once, before it is confirmed"},
	{"refuses an input as a query", "refusals/input", "fits the frame that it refuses"},
	{"confirms no refused input", "refusals/input", "within the deadline"},
	{"holds what a refused input replaced", "refusals/input", "holds no object under the value"},
	{"refuses no predicate", "refusals/predicate", "refuses the predicates that the case says"},
	{"makes up an identity", "answers/empty", "only identities that it was sent"},
	{"exceeds the limit", "answers/limit", "at most as many identities as the limit"},
	{"never says more", "answers/limit", "State 0 says that no more objects match"},
	{"says more at the end", "answers/limit", "State 0 says that no more objects match"},
	{"orders by the limit", "answers/limit", "does not depend on the limit"},
	{"sends frames that are too long", "answers/long", "a length that its type allows"},
	{"has no room", "answers/long", "exactly the inputs that the case says"},
	{"has no order", "order/stable", "stays the same while the Task gets no change"},
	{"orders by the owner", "order/owner", "does not depend on the owner"},
	{"leaves out objects of an owner", "order/owner", "has all its objects that match"},
	{"keeps the first owner", "order/owner", "has all its objects that match"},
	{"ignores where a page begins", "pages/all", "begins after the first of the Search's identities"},
	{"begins a page too early", "pages/all", "begins after the first of the Search's identities"},
	{"ignores where a page begins", "pages/owner", "begins after the first of the Search's identities"},
	{"looks at one identity of a page", "pages/removed", "begins after the first of the Search's identities"},
	{"looks at the last identity of a page", "pages/removed", "begins after the first of the Search's identities"},
	{"is never gone", "pages/gone", "answers with failure 5"},
	{"orders by the candidates", "candidates/some", "does not depend on the candidates"},
	{"leaves out candidates", "candidates/some", "has all candidates that match"},
	{"looks for candidates up to the limit", "candidates/some", "has all candidates that match"},
	{"leaves out candidates", "candidates/all", "has all candidates that match"},
	{"names candidates that it does not hold", "candidates/unknown", "only identities that it was sent"},
	{"begins a page after a candidate alone", "candidates/pages", "begins after the first of the Search's identities"},
	{"has a short buffer", "candidates/many", "runs until the Core closes"},
	{"answers in another order", "queue/searches", "answered in their order"},
	{"sees later changes", "queue/between", "no change with a higher number"},
	{"confirms before it answers", "queue/between", "confirmed change is final"},
	{"keeps the first owner", "history/random", "has all its objects that match"},
	{"holds what a refused input replaced", "history/random", "holds no object under the value"},
	{"ends at senseless text", "hostile/inputs", "runs until the Core closes"},
	{"ends at a senseless predicate", "hostile/predicates", "runs until the Core closes"},
	{"exceeds the room", "shelf/saved", "at most as many bytes as the room"},
	{"repeats the number of a blob", "shelf/saved", "higher number than all blobs before"},
	{"drops blobs that never were", "shelf/saved", "only numbers that the shelf holds"},
	{"answers a Save too late", "shelf/saved", "answered in their order"},
	{"loads other inputs", "shelf/restored", "finds every object of the collection"},
	{"numbers blobs anew in each process", "shelf/restored", "higher number than all blobs before"},
	{"answers with too many bits", "shelf/restored", "a bit for each run"},
	{"says that nothing differs", "shelf/changed", "holds no entry of a run that was not listed"},
	{"says that it lacks nothing", "shelf/changed", "finds every object of the collection"},
	{"holds what is not listed", "shelf/changed", "holds no entry of a run that was not listed"},
	{"ignores changes during the reconciliation", "shelf/meanwhile", "After a Remove|in place of the entry under the same value"},
	{"holds what has no input any more", "shelf/void", "After a Void"},
	{"says that nothing differs", "shelf/older", "reconciliation the Task"},
	{"loads other inputs", "shelf/lost", "finds every object of the collection"},
	{"drops blobs that are gone", "shelf/anew", "only numbers that the shelf holds"},
	{"ends at a full shelf", "shelf/full", "runs until the Core closes"},
	{"loads other inputs", "shelf/steady", "finds every object of the collection"},
	{"holds what is not listed", "shelf/history", "holds no entry of a run that was not listed"},
}

// late are the faults that a check finds by waiting for longer than the deadline.
var late = map[string]bool{"within the deadline": true, "ends when the Core closes": true}

// shortDeadline is for faults that a check waits for in vain. A busy machine does not make such a
// fault pass.
const shortDeadline = 300 * time.Millisecond

// testedShelf is the shelf of the Tasks of the tests, in bytes.
const testedShelf = 64 << 20

// faultyCase is the case of test/faultytask with a fault.
func faultyCase(t *testing.T, fault string) *conformance.Case {
	t.Helper()
	c, err := conformance.ParseCase(fmt.Appendf(nil, `{
		"ordered": true,
		"configuration": %q,
		"inputs": {"a": "red", "b": "green", "c": "redder", "d": "", "e": "green "},
		"queries": [
			{"predicate": "red", "finds": ["a"]},
			{"predicate": "green", "finds": ["b"]},
			{"predicate": "*", "finds": ["d", "b", "e", "a", "c"]},
			{"predicate": "blue", "finds": []}
		],
		"refuses": {"configurations": [%q], "inputs": ["!", "!red"], "predicates": ["?"]}
	}`, fault, "refuse: "+fault), nil)
	testutil.Must(t, err)
	return c
}

// TestEachFaultIsFound: a Task that breaks a rule fails the check for that rule, and the check
// names the rule. The same Task without a fault passes all checks.
func TestEachFaultIsFound(t *testing.T) {
	testutil.Executables(t) // skips the test if no process may be started
	start := executable(t, buildTask(t, "motte/test/faultytask"))
	t.Run("honest", func(t *testing.T) {
		run(t, conformance.Options{Case: faultyCase(t, "honest"), Start: start})
	})
	found := make(map[string]bool)
	for _, f := range faults {
		found[f.check] = true
		t.Run(f.check+"/"+f.name, func(t *testing.T) { findsFault(t, f, start) })
	}
	for _, c := range conformance.Checks() {
		if !found[c.Name] {
			t.Errorf("no fault shows that %s finds one", c.Name)
		}
	}
}

func findsFault(t *testing.T, f fault, start func() (conformance.Process, error)) {
	o := conformance.Options{Case: faultyCase(t, f.name), Start: start, Deadline: testutil.Patience, Shelf: testedShelf,
		Only: regexp.MustCompile("^" + f.check + "$")}
	if late[f.rule] {
		o.Deadline = shortDeadline
	}
	o.Report = func(r conformance.Result) {
		if r.Outcome != conformance.Failed || !regexp.MustCompile(f.rule).MatchString(r.Rule) {
			t.Errorf("%s: %s, rule: %s\n%s\nwant the rule: %s", r.Check, r.Outcome, r.Rule, r.Problem, f.rule)
		}
	}
	if err := conformance.Run(t.Context(), o); err == nil {
		t.Error("the Task passes")
	}
}

// peculiarities are what a Task may do, and few do. They are harmless.
var peculiarities = []string{
	"confirms each frame by itself, names one object in each frame, skips numbers of blobs",
	"confirms with the number of a Search, names the objects of all owners, says that all runs differ, says that it lacks everything",
	"writes byte by byte, keeps nothing",
	"names others than the candidates",
}

// TestPeculiarTasksPass: what the protocol allows is no fault.
func TestPeculiarTasksPass(t *testing.T) {
	testutil.Executables(t) // skips the test if no process may be started
	start := executable(t, buildTask(t, "motte/test/faultytask"))
	for _, name := range peculiarities {
		t.Run(name, func(t *testing.T) {
			run(t, conformance.Options{Case: faultyCase(t, name), Start: start, Only: small})
		})
	}
}

// small are the checks without those of thousands of objects. Peculiar Tasks take long for each.
var small = regexp.MustCompile("^(process|configuration|frames|refusals|order|pages|candidates|queue|history|hostile)/" +
	"|^changes/[^m]|^answers/[^l]|^shelf/([^s]|saved)")

package conformance

// rule is a rule of the Task protocol, or of the case.
type rule struct {
	section string // heading of docs/reference/task-protocol.md; "": the case file has the rule
	text    string
}

// Headings of docs/reference/task-protocol.md.
const (
	sectionProcess   = "1. The process"
	sectionFrames    = "2. Frames"
	sectionSequence  = "3. Sequence numbers and order"
	sectionName      = "4. Identities that a Task may name"
	sectionShelf     = "5. The shelf and reconciliation"
	sectionDeadlines = "6. Deadlines, and violations"
)

// The rules. Each failure names one of them.
var (
	ruleStart    = rule{sectionProcess, "A Task is a static executable that runs in the confinement."}
	ruleRuns     = rule{sectionProcess, "A Task runs until the Core closes its channel."}
	ruleEnds     = rule{sectionProcess, "The Task ends when the Core closes its channel."}
	ruleDeadline = rule{sectionDeadlines, "The Task confirms a change, and completes an answer, within the deadline of its row."}

	ruleFormat     = rule{sectionFrames, "A frame has the magic MT, version 2, a type of a Task, and a length that its type allows."}
	ruleApplied    = rule{sectionFrames, "An Applied has a higher number than the Applied before it, and not a higher one than the last frame that was sent."}
	ruleState      = rule{sectionFrames, "A Found of state 1 names at least one identity. A Found of state 2 ends an answer that has exactly as many identities as the limit."}
	ruleFailure    = rule{sectionFrames, "A failure fits the frame that it refuses: 1 a Configure, 2 an Insert, 3 to 5 a Search."}
	ruleRefuseOnce = rule{sectionFrames, "An input is refused once, before it is confirmed."}
	ruleEarly      = rule{sectionFrames, "A Search is refused before any identity for it."}
	ruleRest       = rule{sectionFrames, "State 0 says that no more objects match, and state 2 that more objects match."}
	ruleConfigure  = rule{sectionFrames, "A Task confirms the configuration that it can use, and refuses another with failure 1."}
	ruleForget     = rule{sectionFrames, "After a refused input the Task holds no object under the value any more."}
	ruleReplace    = rule{sectionFrames, "The Task holds an input under the value of its identity, in place of the entry under the same value."}
	ruleRemove     = rule{sectionFrames, "After a Remove the Task holds no entry under the identity's value."}

	ruleUnasked = rule{sectionSequence, "Searches are answered in their order. A Task sends no answer that was not asked for, or is complete."}
	ruleMoment  = rule{sectionSequence, "A Search sees every change with a lower number and no change with a higher number."}
	ruleFinal   = rule{sectionSequence, "A confirmed change is final: the identity that it removed is invalid in every later Found."}

	ruleKnown   = rule{sectionName, "A Task names only identities that it was sent in an Insert."}
	ruleLimit   = rule{sectionName, "An answer has at most as many identities as the limit of the Search."}
	ruleTwice   = rule{sectionName, "An answer names each object once."}
	ruleStable  = rule{sectionName, "The order of a predicate's objects stays the same while the Task gets no change."}
	ruleNoLimit = rule{sectionName, "The order does not depend on the limit: a smaller limit gives the beginning of the same order."}
	ruleOwner   = rule{sectionName, "The order does not depend on the owner. An answer for an owner has all its objects that match."}
	rulePage    = rule{sectionName, "A page begins after the first of the Search's identities that still matches."}
	ruleWithin  = rule{sectionName, "The order does not depend on the candidates. An answer has all candidates that match, unless it ends at the limit."}
	ruleGone    = rule{sectionName, "If none of the Search's identities matches, the Task answers with failure 5."}

	ruleRoom    = rule{sectionShelf, "A Blob has at most as many bytes as the room of the Save. With a room of 0 the answer is a Set."}
	ruleNumbers = rule{sectionShelf, "Each Blob has a higher number than all blobs before it."}
	ruleSet     = rule{sectionShelf, "A Set names only numbers that the shelf holds."}
	ruleBits    = rule{sectionShelf, "A Differ has a bit for each run, a Lacks a bit for each identity, and unused bits are 0."}
	ruleVoid    = rule{sectionShelf, "After a Void the Task holds no entry under the identity's value."}
	ruleStale   = rule{sectionShelf, "After the reconciliation the Task holds no entry of a run that was not listed."}
	ruleMended  = rule{sectionShelf, "After the reconciliation the Task finds every object of the collection, whatever the shelf had."}

	ruleMatch       = rule{"", "A predicate finds exactly the inputs that the case says."}
	ruleRank        = rule{"", "An ordered index names the inputs in the order that the case says."}
	ruleAccept      = rule{"", "The Task accepts the inputs and the predicates of the case."}
	ruleRefuseInput = rule{"", "The Task refuses the inputs that the case says, with failure 2."}
	ruleRefuseQuery = rule{"", "The Task refuses the predicates that the case says, with failure 3."}
)

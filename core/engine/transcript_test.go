package engine

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"motte/client"
	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// TestTranscripts replays the stories in testdata/transcripts. Each story shows the outputs of
// the engine after each input. A change of the engine's behaviour changes the stories. After
// such a change,
//
//	go test ./core/engine -run TestTranscripts -rewrite
//
// writes the stories again. Commit the difference only if every changed line is intended.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		s := newStory(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			if d.Cmd == "given" {
				return s.given(d.Input)
			}
			words := []string{d.Cmd}
			for _, a := range d.CmdArgs {
				words = append(words, a.String())
			}
			return s.play(words)
		})
	})
}

// story is a world that executes commands, and describes the engine's outputs.
type story struct {
	*world
	trace
	commands   map[string]func(words []string)
	principals map[string]access.Principal
}

func newStory(t *testing.T) *story {
	s := &story{world: newWorld(t, 1), trace: newTrace(), principals: map[string]access.Principal{"admin": admin}}
	s.commands = map[string]func([]string){
		"principal": s.principal, "erase": s.erase, "key-destroyed": s.keyDestroyed, "grant": s.grant, "revoke": s.grant, "collection": s.collection, "index": s.index,
		"put": s.put, "get": s.get, "delete": s.get, "list": s.get,
		"search": s.search, "count": s.search, "delete-where": s.search,
		"commit": s.commitAll, "disk-fails": s.diskFails, "disk-works": s.diskWorks, "read": s.readNext, "crash": s.crash,
		"start-task": s.startTask, "task-step": s.taskStep, "task-says": s.taskSays, "task-dies": s.taskDies,
		"tick": s.tickBy, "settle": s.settleAll, "status": s.status, "alerts": s.alerts,
	}
	s.registerFake()
	return s
}

// play executes one command, and returns the description of its effects.
func (s *story) play(words []string) string {
	f := s.commands[words[0]]
	if f == nil {
		s.t.Fatalf("no command %q", words[0])
	}
	s.lines = nil
	f(append(words, "", "", "", "")) // missing arguments are empty
	s.observe(s.world)
	if len(s.lines) == 0 {
		return "nothing"
	}
	return strings.Join(s.lines, "\n")
}

// given executes commands that precede the story, each to its end.
func (s *story) given(commands string) string {
	for line := range strings.Lines(commands) {
		s.play(strings.Fields(line))
		s.settleAll(nil)
	}
	return fmt.Sprintf("%d records in the log", len(s.disk))
}

// request sends a request of a principal. text is the name of the request in the trace.
func (s *story) request(who, text string, r wire.Request) {
	p, ok := s.principals[who]
	if !ok {
		s.t.Fatalf("no principal %q", who)
	}
	s.asked[s.number+1] = who + ", " + strings.TrimSpace(text)
	s.ask(p, r)
}

// principal NAME
func (s *story) principal(words []string) {
	p := access.Principal(sha([]byte(words[1])))
	s.principals[words[1]] = p
	s.request("admin", "principal "+words[1], wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(p), Name: []byte(words[1])})
}

// erase NAME: remove the principal with its objects.
func (s *story) erase(words []string) {
	s.request("admin", "erase "+words[1], removal(s.principals[words[1]], wire.FlagErase))
}

// key-destroyed: no file has the data key of the erased principal any more.
func (s *story) keyDestroyed([]string) { s.eraseKeys() }

// grant COLLECTION PRINCIPAL RIGHTS, and revoke
func (s *story) grant(words []string) {
	rights, err := client.ParseRights(words[3])
	if err != nil {
		s.t.Fatal(err)
	}
	op := map[string]model.Operation{"grant": model.OpGrant, "revoke": model.OpRevoke}[words[0]]
	s.request("admin", words[0]+" "+words[2]+" "+words[3], grantRequest(op, words[1], s.principals[words[2]], rights))
}

// collection NAME
func (s *story) collection(words []string) {
	s.request("admin", "collection "+words[1], wire.Request{Op: model.OpCreateCollection, Collection: words[1]})
}

// index COLLECTION NAME [lazy | ordered]
func (s *story) index(words []string) {
	flags := map[string]model.IndexOptions{"lazy": model.OptionLazy, "ordered": model.OptionOrdered}[words[3]]
	s.request("admin", "index "+words[2], createIndex(words[1], words[2], model.TypeAny, flags))
}

// put PRINCIPAL COLLECTION NAME OBJECT [if=absent | if=IDENTITY]
func (s *story) put(words []string) {
	r := put(words[2], words[3], words[4])
	if condition, found := strings.CutPrefix(words[5], "if="); condition == "absent" {
		r.Flags = wire.FlagIfAbsent
	} else if found {
		r.Flags, r.Identity = wire.FlagIfIdentity, s.identity(condition)
	}
	s.request(words[1], "put "+words[3], r)
}

// get PRINCIPAL COLLECTION NAME; delete; list without a name
func (s *story) get(words []string) {
	op := map[string]model.Operation{"get": model.OpGet, "delete": model.OpDelete, "list": model.OpList}[words[0]]
	s.request(words[1], words[0]+" "+words[3], wire.Request{Op: op, Collection: words[2], Name: []byte(words[3])})
}

// search PRINCIPAL COLLECTION INDEX PREDICATE [limit=N];
// count; delete-where
func (s *story) search(words []string) {
	op := map[string]model.Operation{"search": model.OpSearch, "count": model.OpCount, "delete-where": model.OpDeleteWhere}[words[0]]
	r := byPredicate(op, words[2], words[3], words[4])
	if n, found := strings.CutPrefix(words[5], "limit="); found {
		r.Limit = uint32(s.parse(n))
	}
	s.request(words[1], words[0]+" "+words[4], r)
}

// commit: the disk reports that all appended records are durable.
func (s *story) commitAll([]string) {
	s.tell("durable: %s", s.positions(s.pending))
	s.commit(len(s.pending))
}

// disk-fails: no appended record will be durable.
func (s *story) diskFails([]string) {
	s.tell("lost: %s", s.positions(s.pending))
	s.fail()
	s.trace.lsn = s.world.lsn
}

// disk-works: the disk takes records again, in a new segment.
func (s *story) diskWorks([]string) { s.resume() }

// read: the oldest requested record arrives.
func (s *story) readNext([]string) { s.read() }

// crash: the Core starts again with the durable records.
func (s *story) crash([]string) {
	if len(s.pending) > 0 {
		s.tell("lost: %s", s.positions(s.pending))
	}
	s.forget()
	s.answers = nil
	s.boot()
}

// start-task N: the host has started the process of Task N.
func (s *story) startTask(words []string) {
	p := s.process(words[1])
	p.started = true
	s.e.TaskStarted(p.instance)
	s.take()
}

// task-step N: Task N handles its next frame, honestly.
func (s *story) taskStep(words []string) {
	p := s.process(words[1])
	f := p.frames[0]
	p.frames = p.frames[1:]
	for _, a := range p.handle(f) {
		s.tell("Task %d says %s", p.number, s.answer(a))
		s.e.TaskAnswer(p.instance, a)
	}
	s.take()
}

// task-says N IDENTITY …: Task N answers the waiting query with these identities.
func (s *story) taskSays(words []string) {
	p := s.process(words[1])
	s.instead(p.fakeTask, func(seq uint64) []taskwire.Answer {
		a := taskwire.Answer{Type: taskwire.Found, Seq: seq}
		for _, name := range words[2:] {
			if name != "" {
				a.Found = append(a.Found, s.identity(name))
			}
		}
		s.tell("Task %d says %s", p.number, s.answer(a))
		return []taskwire.Answer{a}
	})
}

// task-dies N: the host reports that the process of Task N has ended.
func (s *story) taskDies(words []string) {
	s.e.TaskEnded(s.process(words[1]).instance, model.ReasonTaskEnded)
	s.take()
}

// tick DURATION
func (s *story) tickBy(words []string) { s.tick(s.duration(words[1])) }

// settle: disk, host and honest Tasks run until there is nothing to do.
func (s *story) settleAll([]string) {
	for moved := true; moved; {
		moved = false
		step := func(f func([]string), words ...string) {
			f(words)
			s.observe(s.world)
			moved = true
		}
		s.observe(s.world)
		if len(s.pending) > 0 {
			step(s.commitAll)
		}
		for len(s.fetch) > 0 {
			step(s.readNext)
		}
		for _, p := range s.processes {
			if !p.started && !p.stopped {
				step(s.startTask, "", strconv.Itoa(p.number))
			}
			for len(p.frames) > 0 && !p.stopped {
				step(s.taskStep, "", strconv.Itoa(p.number))
			}
		}
	}
}

// status and alerts, as an administrator gets them
func (s *story) status([]string) {
	s.request("admin", "status", wire.Request{Op: model.OpStatus})
}

func (s *story) alerts([]string) {
	s.request("admin", "alerts", wire.Request{Op: model.OpAlerts})
}

// process returns the Task with a number in the story.
func (s *story) process(number string) *process {
	n := s.parse(number)
	if n < 1 || n > len(s.processes) {
		s.t.Fatalf("no Task %d", n)
	}
	return s.processes[n-1]
}

func (s *story) identity(name string) identity.ID {
	id, ok := s.ids[name]
	if !ok {
		s.t.Fatalf("no identity is called %q", name)
	}
	return id
}

func (s *story) parse(number string) int {
	n, err := strconv.Atoi(number)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *story) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

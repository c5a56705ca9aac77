package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/host"
)

// questions are asked before and after a fault. The answers must be the same.
var questions = [][2]string{
	{"doc", "goroutine"}, {"doc", `"concurrent use"`}, {"doc", "unmarshal*"}, {"doc", "drawbridge"},
	{"by_lines", ">= 100"}, {"by_package", `prefix "net/"`},
}

// ask asks all questions, and returns each answer as a set of identities.
func (d *demo) ask(ctx context.Context) ([]map[client.Identity]bool, error) {
	var answers []map[client.Identity]bool
	for _, q := range questions {
		list, err := d.identities(ctx, d.reader, q[0], q[1])
		if err != nil {
			return nil, err
		}
		answers = append(answers, set(list))
	}
	return answers, nil
}

func set(list []client.Identity) map[client.Identity]bool {
	m := make(map[client.Identity]bool, len(list))
	for _, id := range list {
		m[id] = true
	}
	return m
}

func same(a, b []map[client.Identity]bool) bool {
	return slices.EqualFunc(a, b, maps.Equal[map[client.Identity]bool, map[client.Identity]bool])
}

// kill ends the Task of the full-text index during searches. It waits until the index is back.
func (d *demo) kill(ctx context.Context) error {
	before, err := d.ask(ctx)
	if err != nil {
		return err
	}
	pid, ok := d.server.Task("text")
	if err := check(ok, "the host does not list the process of the Task"); err != nil {
		return err
	}
	load, stop := d.traffic(ctx, before)
	time.Sleep(300 * time.Millisecond)
	d.say("Four clients search doc, two by_lines, and two get objects by name, all the time. The Task of doc is process %d.", pid)
	d.gap()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the Task: %w", err)
	}
	d.row("$ kill -9 %d", pid)
	began := time.Now()
	back, err := d.comesBack(ctx, pid)
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	d.row("%s later doc serves again, from process %d: a fresh Task, fed from the Core's copy.", brief(time.Since(began)), back)
	d.gap()
	d.say("Results of the clients meanwhile:")
	d.row("%8d  right answers of doc", load.right.Load())
	d.row("%8d  times “the index is being rebuilt, try again”, of doc alone", load.later.Load())
	d.row("%8d  right answers of by_lines and of GET", load.others.Load())
	after, err := d.ask(ctx)
	if err != nil {
		return err
	}
	d.gap()
	d.say("No client got a wrong answer or another error. Now all %d questions have the same answers as before.", len(questions))
	return check(same(before, after), "the answers differ from those before the Task was killed")
}

// comesBack waits until a new process serves the full-text index.
func (d *demo) comesBack(ctx context.Context, old int) (pid int, err error) {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if p, ok := d.server.Task("text"); !ok || p == old {
			continue
		}
		if err := d.serving(ctx, "doc"); err != nil {
			return 0, err
		}
		pid, _ = d.server.Task("text")
		return pid, nil
	}
	return 0, check(false, "no new process of the Task has started within the time limit")
}

// traffic is the queries of clients while a Task is killed, with their results.
type traffic struct {
	right, later, others atomic.Int64
}

// traffic starts the clients. Each answer must equal the answer from before; for doc it may be
// "try again". stop ends the clients, and returns an error if an answer was wrong.
func (d *demo) traffic(ctx context.Context, before []map[client.Identity]bool) (t *traffic, stop func() error) {
	t = new(traffic)
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	errs := make([]error, 8)
	search := func(q int) error {
		list, err := d.identities(ctx, d.reader, questions[q][0], questions[q][1])
		switch {
		case err == nil && !maps.Equal(set(list), before[q]):
			return fmt.Errorf("%q had a wrong answer", questions[q])
		case err == nil && questions[q][0] == "doc":
			t.right.Add(1)
		case err == nil:
			t.others.Add(1)
		case questions[q][0] == "doc" && (errors.Is(err, client.ErrIndexUnavailable) || errors.Is(err, client.ErrIndexViolated) || errors.Is(err, client.ErrTooSlow)):
			t.later.Add(1)
			time.Sleep(5 * time.Millisecond)
		default:
			return err
		}
		return nil
	}
	get := func() error {
		o, err := d.reader.Get(ctx, collection, "strings.Cut")
		if err == nil && o.Name != "strings.Cut" {
			err = errors.New("a GET returned another object than before")
		}
		t.others.Add(1)
		return err
	}
	for i := range errs {
		all.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				switch {
				case i < 4:
					errs[i] = search(i)
				case i < 6:
					errs[i] = search(4)
				default:
					errs[i] = get()
				}
			}
			if ctx.Err() != nil && errors.Is(errs[i], ctx.Err()) {
				errs[i] = nil
			}
		})
	}
	return t, func() error {
		cancel()
		all.Wait()
		return errors.Join(errs...)
	}
}

// hostile runs the hostile Task of Motte's tests, and makes it return forged answers.
func (d *demo) hostile(ctx context.Context) error {
	const vault = "vault"
	if err := d.startHostile(ctx, vault); err != nil {
		return err
	}
	other, err := d.admin.Get(ctx, collection, "strings.Cut")
	if err != nil {
		return err
	}
	d.say("A second collection, with three secrets and an index whose Task is under an attacker's control. In its confinement, " +
		"its answers are the only way out; so it forges them. Each time the Core kills the Task, and a fresh process rebuilds the index.")
	d.gap()
	d.row("%-46s %-20s %s", "the Task answers with", "the Core's alert", "objects that left")
	for _, lie := range []struct {
		what, predicate string
		reason          model.Reason
	}{
		{"the first bytes of a secret, as an identity", "secret", model.ReasonInvalidIdentity},
		{"an identity that it made up", "forged", model.ReasonInvalidIdentity},
		{"a real one with one bit changed", "altered", model.ReasonInvalidIdentity},
		{"a real one of the collection “go”", "given " + hex.EncodeToString(other.Identity[:]), model.ReasonOtherCollection},
		{"a frame that says it has 1 GiB", "long", model.ReasonBadFrame},
	} {
		left, reason, err := d.lie(ctx, client.Query{Collection: vault, Index: "taken", Predicate: lie.predicate})
		if err != nil {
			return err
		}
		d.row("%-46s %-20s %d", lie.what, client.ReasonName(reason), left)
		if err := check(left == 0 && reason == lie.reason, "%d objects left the Core, with the alert %s; want no object, and the alert of the table", left, client.ReasonName(reason)); err != nil {
			return err
		}
	}
	d.gap()
	found, err := d.reader.Count(ctx, client.Query{Collection: collection, Index: "by_lines", Predicate: "all"})
	if err != nil {
		return err
	}
	d.say("The client got a fixed error each time. The collection “go” was not affected: by_lines counts %d objects.", found.Count)
	return check(int(found.Count) == len(d.library), "by_lines counts %d objects; want %d", found.Count, len(d.library))
}

// startHostile builds and registers the hostile Task, and makes a collection with an index of
// it.
func (d *demo) startHostile(ctx context.Context, vault string) error {
	path := filepath.Join(d.taskDir(), "motte-task-hostile")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "motte/test/hostiletask")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the hostile Task: %w: %s", err, strings.TrimSpace(string(out)))
	}
	measurement, err := host.Measure(path)
	if err != nil {
		return err
	}
	if err := d.admin.RegisterTask(ctx, "hostile", client.Row{Measurement: measurement, Operations: frames.TaskSearch,
		MaxInput: 1 << 10, MaxResults: 100, Deadline: 10_000, Memory: 1 << 30}); err != nil {
		return err
	}
	if err := d.admin.CreateCollection(ctx, vault); err != nil {
		return err
	}
	for _, name := range []string{"first", "second", "third"} {
		if _, err := d.admin.Put(ctx, vault, []byte("the "+name+" secret, which must not leave the vault"), client.Name(name)); err != nil {
			return err
		}
	}
	return d.admin.CreateIndex(ctx, vault, "taken", client.Index{Task: "hostile"})
}

// lie asks the hostile Task once it serves. It returns the number of objects that left the Core,
// and the reason of the alert.
func (d *demo) lie(ctx context.Context, q client.Query) (left int, reason model.Reason, err error) {
	honest := q
	honest.Predicate = "all"
	if err := d.until(ctx, "the hostile Task to serve", func() (bool, error) {
		n, err := found(d.admin.Search(ctx, honest))
		if err == nil {
			err = check(n == 3, "the rebuilt index has %d objects; want 3", n)
		}
		return err == nil, err
	}); err != nil {
		return 0, 0, err
	}
	before, err := d.admin.Alerts(ctx)
	if err != nil {
		return 0, 0, err
	}
	left, err = found(d.admin.Search(ctx, q))
	if err := check(errors.Is(err, client.ErrIndexViolated) || errors.Is(err, client.ErrIndexUnavailable), "the client got %v; want the error that the index broke its contract or is unavailable", err); err != nil {
		return left, 0, err
	}
	err = d.until(ctx, "the alert", func() (bool, error) {
		after, err := d.admin.Alerts(ctx)
		if err == nil && len(after) > len(before) {
			reason = after[len(before)].Reason
		}
		return reason != 0, err
	})
	return left, reason, err
}

package e2e

import (
	"errors"
	"strings"
	"testing"

	"motte/client"
)

// TestHowATaskEndsIsNotLogged: a Task that was taken over would tell a byte of
// what it knows by each exit status.
func TestHowATaskEndsIsNotLogged(t *testing.T) {
	s := serve(t, t.TempDir())
	c, ctx := s.admin(), t.Context()
	must(t, c.RegisterTask(ctx, "hostile", hostileRow(t)))
	must(t, c.CreateCollection(ctx, "p"))
	must(t, c.CreateIndex(ctx, "p", "x", client.Index{Task: "hostile"}))
	eventually(t, "index", serving(c, "p", "x"))
	if _, err := c.Count(ctx, client.Query{Collection: "p", Index: "x", Predicate: "exit"}); !errors.Is(err, client.ErrIndexViolated) {
		t.Fatalf("the client got %v", err)
	}
	s.stop()
	ends := 0
	for line := range strings.Lines(s.log.String()) {
		_, fields, ended := strings.Cut(line, `msg="task ended" `)
		if !ended {
			continue
		}
		ends++
		if words := strings.Fields(fields); len(words) != 2 || !strings.HasPrefix(words[0], "instance=") || words[1] != "task=hostile" {
			t.Errorf("logged: %s", line)
		}
	}
	if ends == 0 {
		t.Error("no end of a Task is logged")
	}
}

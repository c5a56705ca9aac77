package e2e

import (
	"syscall"
	"testing"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/host"
	"motte/internal/testutil"
	"motte/tasks"
)

// told returns the numbers of the leak meter in the status: of the index "x" of the collection
// "c".
func told(t *testing.T, c *client.Client) (drawn, inAll uint64) {
	t.Helper()
	status, err := c.Status(t.Context())
	testutil.Must(t, err)
	if s := status.Index("c", "x"); s != nil {
		return s.LeakedBits, s.IndexBits
	}
	t.Fatal("the status has no index")
	return 0, 0
}

// TestADrawnBudgetStaysDrawn: after an orderly stop a server knows the exact number of drawn
// bits, also without a budget. After its Core was killed, the number must not be lower.
func TestADrawnBudgetStaysDrawn(t *testing.T) {
	const budget = 16_000
	builtIn, err := tasks.BuiltIn()
	testutil.Must(t, err)
	for _, name := range []string{"capped", "not capped"} {
		t.Run(name, func(t *testing.T) {
			row := builtIn["ordered"]
			dir := t.TempDir()
			s := serve(t, dir)
			c, ctx := s.admin(), t.Context()
			capped := name == "capped"
			if capped {
				sum, err := host.Measure(testutil.Executables(t) + "/motte-task-ordered")
				testutil.Must(t, err)
				row.Measurement, row.LeakBudget, row.IndexBudget = sum, budget, budget
				testutil.Must(t, c.RegisterTask(ctx, "ordered", row))
			}
			testutil.Must(t, c.CreateCollection(ctx, "c"))
			testutil.Must(t, c.CreateIndex(ctx, "c", "x", client.Index{Task: "ordered", Type: model.TypeInt64, Config: []byte(`{"type":"int64"}`)}))
			testutil.Eventually(t, "index", serving(c, "c", "x"))
			for range 20 {
				_, err := c.Count(ctx, client.Query{Collection: "c", Index: "x", Predicate: "all"})
				testutil.Must(t, err)
			}
			drawn, inAll := told(t, c)
			if drawn < 20*2 || inAll < drawn {
				t.Fatalf("20 answers draw %d bits, and %d of the index; want more than 0, and the same number", drawn, inAll)
			}
			s.stop()
			s = serve(t, dir)
			c = s.admin()
			if again, all := told(t, c); again != drawn || all != inAll {
				t.Errorf("after an orderly stop %d bits are drawn, and %d in all; want %d and %d, as before", again, all, drawn, inAll)
			}
			if !capped {
				return
			}
			for _, pid := range processIDs("motte-core") {
				testutil.Must(t, syscall.Kill(pid, syscall.SIGKILL))
			}
			select {
			case <-s.ready:
			case <-time.After(testutil.Patience):
				t.Fatal("the killed Core is not started again")
			}
			c = s.admin()
			if again, all := told(t, c); again < drawn || all < inAll || again > drawn+budget/16 {
				t.Errorf("after a crash %d bits are drawn, and %d in all; want at least %d and %d, as before", again, all, drawn, inAll)
			}
		})
	}
}

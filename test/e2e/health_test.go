package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"motte/host"
	"motte/internal/testutil"
)

// TestACoreThatHangsIsReplaced: a server is ready while its Core answers. When the Core hangs,
// /readyz reports it, and the host starts another Core.
func TestACoreThatHangsIsReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("the host waits 30 seconds before it replaces a Core")
	}
	s := launchWith(t, host.Config{Dir: t.TempDir(), Metrics: "127.0.0.1:0"})
	started := func() {
		t.Helper()
		select {
		case <-s.ready:
		case err := <-s.ended:
			s.ended <- err
			t.Fatalf("the server ended: %v", err)
		}
	}
	started()
	pages := s.pages
	page := func(name string) (code int, text string, err error) {
		r, err := http.Get("http://" + pages + name)
		if err != nil {
			return 0, "", err
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		return r.StatusCode, string(body), err
	}
	shows := func(name string, code int, has string) func() error {
		return func() error {
			got, text, err := page(name)
			if err == nil && (got != code || !strings.Contains(text, has)) {
				err = fmt.Errorf("%s: %d %q; want %d and %q", name, got, text, code, has)
			}
			return err
		}
	}
	const allIsWell = "core: ok\ncounters: ok\nlog: ok\ntasks: ok\n"
	testutil.Eventually(t, "/readyz to report that the server is ready", shows("/readyz", http.StatusOK, allIsWell))
	cores := processIDs("motte-core")
	if len(cores) != 1 {
		t.Fatalf("%d Cores run; want 1", len(cores))
	}
	testutil.Must(t, syscall.Kill(cores[0], syscall.SIGSTOP))
	testutil.Eventually(t, "/readyz to report old counters", shows("/readyz", http.StatusServiceUnavailable, "counters: the Core's counters are older than 5 seconds"))
	testutil.Must(t, shows("/livez", http.StatusOK, "ok")())
	started()
	if next := processIDs("motte-core"); len(next) != 1 || next[0] == cores[0] {
		t.Errorf("after the end of Core %d the Cores %d run; want one other Core", cores[0], next)
	}
	testutil.Eventually(t, "/readyz to report that the server is ready again", shows("/readyz", http.StatusOK, allIsWell))
}

package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"motte/internal/testutil"
)

// TestServeSaysWhatToDoAboutAUsedAddress: the last line names the flag that chooses another address.
func TestServeSaysWhatToDoAboutAUsedAddress(t *testing.T) {
	t.Parallel()
	used, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Must(t, err)
	defer used.Close()
	motte := filepath.Join(testutil.Executables(t), "motte")
	serve := exec.Command(motte, "serve", "--dir", filepath.Join(t.TempDir(), "store"), "--listen", used.Addr().String())
	out, err := serve.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if err == nil || !strings.Contains(last, used.Addr().String()) || !strings.HasSuffix(last, "choose another address by --listen") {
		t.Errorf("a server whose address is in use ends with %v, and says %q", err, last)
	}
}

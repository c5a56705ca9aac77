package mottetest_test

import (
	"flag"
	"os"
	"testing"

	"motte/host/sandbox"
	"motte/internal/testutil"
)

func TestMain(m *testing.M) {
	sandbox.ReexecInit()
	flag.Parse()
	if testing.Short() { // examples start real processes, and can't be skipped
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// executables is the directory with the executables: "bin" after "make build".
func executables() string {
	dir, err := testutil.BuildExecutables()
	if err != nil {
		panic(err)
	}
	return dir
}

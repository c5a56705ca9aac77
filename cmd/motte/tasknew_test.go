package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"motte/internal/testutil"
	"motte/sdk/skeleton"
)

// compilers are what each language needs, besides make.
var compilers = map[string][]string{"go": {"go"}, "c": {"gcc"}, "rust": {"cargo", "rustc"}, "wasm": {"clang", "wasm-ld", "wasm2c"}}

// TestSkeletonsConform: what 'motte task new' writes builds, and passes its own tests and the
// conformance suite, without a network and without a clone of Motte.
func TestSkeletonsConform(t *testing.T) {
	t.Parallel()
	bin := testutil.Executables(t)
	for _, language := range skeleton.Languages {
		t.Run(language, func(t *testing.T) {
			for _, program := range append([]string{"make"}, compilers[language]...) {
				if _, err := exec.LookPath(program); err != nil {
					if os.Getenv("MOTTE_REQUIRE_COMPILERS") == "1" {
						t.Fatalf("MOTTE_REQUIRE_COMPILERS is set, and %s is missing", program)
					}
					t.Skipf("%s is missing; .ci/install installs it", program)
				}
			}
			dir := filepath.Join(t.TempDir(), "near")
			testutil.Must(t, exec.Command(filepath.Join(bin, "motte"), "task", "new", "near", "--lang", language, "--dir", dir).Run())
			c := exec.Command("make", "test", "MOTTE="+filepath.Join(bin, "motte"))
			c.Dir, c.Env = dir, append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off", "MAKEFLAGS=")
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("make test: %v\n%s", err, out)
			}
		})
	}
}

// Package pages runs the commands that pages tell their readers to type: in the README, the
// tutorial, each how-to, and every other page with a block of commands. Blocks run in an empty
// directory, in the order of their page, and must print the output on the page. If a block can't
// run here, the page's source says so, with the reason.
package pages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"motte/internal/testutil"
)

// root is the root of the repository, relative to the tests.
const root = "../.."

// requireCompilers, in the environment, turns a missing program of a page into a failure.
const requireCompilers = "MOTTE_REQUIRE_COMPILERS"

// keygen is the name under which this executable acts as age-keygen.
const keygen = "age-keygen"

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(asInit) != "":
		err = becomeShell()
	case filepath.Base(os.Args[0]) == keygen:
		err = makeKey(os.Args[1:])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// makeKey acts as age-keygen: with -o FILE it makes a key in a file, and with -y FILE it prints
// the recipient of a key.
func makeKey(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "-y":
		text, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		_, line, _ := strings.Cut(string(text), "public key: ")
		recipient, _, _ := strings.Cut(line, "\n")
		_, err = fmt.Println(recipient)
		return err
	case len(args) != 2 || args[0] != "-o":
		return fmt.Errorf("this %s accepts only -o FILE and -y FILE, not %q", keygen, args)
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("# public key: %s\n%s\n", key.Recipient(), key)
	if err := os.WriteFile(args[1], []byte(text), 0o600); err != nil {
		return err
	}
	_, err = fmt.Printf("Public key: %s\n", key.Recipient())
	return err
}

// TestPagesAreTrue: each command of each page must print the output on the page.
func TestPagesAreTrue(t *testing.T) {
	left := 0
	for _, name := range all(t) {
		steps, err := readPage(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		runs, builds, required := 0, false, ""
		for _, s := range steps {
			switch s.kind {
			case notRun:
				left++
				t.Logf("%s:%d is not run: %s", name, s.line, s.reason)
			case needs:
				required += " " + s.text
			case commands, console:
				runs++
				builds = builds || strings.Contains(s.text, "make build")
			}
		}
		if runs == 0 {
			continue
		}
		t.Run(strings.TrimSuffix(name, ".md"), func(t *testing.T) {
			bin := testutil.Executables(t)
			t.Parallel()
			findPrograms(t, strings.Fields(required))
			r := newReader(t, bin, !builds)
			r.send("PATH0=$PATH\n")
			for _, s := range steps {
				if err := r.do(&s); err != nil {
					t.Fatalf("%s:%d: %v", name, s.line, err)
				}
			}
		})
	}
	t.Logf("%d blocks are not run", left)
}

// findPrograms skips the page if one of its programs, or of its files, is missing. In CI that is a
// failure.
func findPrograms(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		if filepath.IsAbs(name) {
			_, err = os.Stat(name)
		}
		if err == nil {
			continue
		}
		if os.Getenv(requireCompilers) != "" {
			t.Fatalf("%s is set, and %s is missing", requireCompilers, name)
		}
		t.Skipf("%s is missing, so the page is not run", name)
	}
}

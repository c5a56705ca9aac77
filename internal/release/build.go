package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"motte/internal/build"
)

// A release is for the single platform on which the confinement of Tasks is tested.
const (
	targetOS   = "linux"
	targetArch = "amd64"
)

// inherited lists the variables that a release takes from its environment: for finding programs
// and temporary files, and for access to the network.
var inherited = []string{"PATH", "HOME", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy",
	"https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// places lists the settings of the go command that a release inherits: where modules and caches
// are. Whatever their source, go.sum determines the content of modules.
var places = []string{"GOPATH", "GOMODCACHE", "GOCACHE", "GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB"}

// kept returns the inherited variables of an environment, and the C locale.
func kept(environment []string) []string {
	list := []string{"LC_ALL=C"}
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(inherited, name) {
			list = append(list, variable)
		}
	}
	return list
}

// builder builds the executables of a commit from a clone.
type builder struct {
	commit    commit
	goCommand string
	source    string // the clone
	bin       string // the executables
	toolchain string // the version of Go that go.mod names
	env       []string
}

var toolchainLine = regexp.MustCompile(`(?m)^toolchain (go\S+)$`)

// build runs the commit's own "make build". It returns the version that the linker put into
// motte.
func (b *builder) build() (version string, err error) {
	if err := b.pin(); err != nil {
		return "", err
	}
	cmd := exec.Command("make", "build", "BIN="+b.bin, "GO="+b.goCommand)
	cmd.Dir, cmd.Env = b.source, b.env
	if _, err := output(cmd); err != nil {
		return "", err
	}
	self, err := b.check("motte")
	if err != nil {
		return "", err
	}
	_, err = b.check("motte-core")
	return self.Version, err
}

// pin determines the toolchain and the environment of the build.
func (b *builder) pin() error {
	text, err := os.ReadFile(filepath.Join(b.source, "go.mod"))
	if err != nil {
		return err
	}
	found := toolchainLine.FindSubmatch(text)
	if found == nil {
		return fmt.Errorf("go.mod names no toolchain")
	}
	b.toolchain = string(found[1])
	// The version of Go also determines how this program compresses the archive.
	if runtime.Version() != b.toolchain {
		return fmt.Errorf("this is %s, and go.mod names %s: set GOTOOLCHAIN=%[2]s", runtime.Version(), b.toolchain)
	}
	set, err := output(exec.Command(b.goCommand, append([]string{"env", "-json"}, places...)...))
	if err != nil {
		return err
	}
	var settings map[string]string
	if err := json.Unmarshal([]byte(set), &settings); err != nil {
		return fmt.Errorf("settings of the go command: %w", err)
	}
	b.env = append(kept(os.Environ()), "GOENV=off", "GOWORK=off", "GOTOOLCHAIN="+b.toolchain,
		"GOOS="+targetOS, "GOARCH="+targetArch, "GOAMD64=v1")
	for _, name := range places {
		b.env = append(b.env, name+"="+settings[name])
	}
	return nil
}

// check checks that an executable was built from the commit.
func (b *builder) check(name string) (build.Info, error) {
	i, err := build.Of(filepath.Join(b.bin, name))
	if err != nil {
		return i, fmt.Errorf("%s: %w", name, err)
	}
	if i.Commit != b.commit.hash || i.Modified || i.Version == "" {
		return i, fmt.Errorf("%s is not built from commit %s, but from %s", name, b.commit.hash, i)
	}
	return i, nil
}

// modules returns the paths of the linked modules. It checks that each executable was built with
// the toolchain.
func (b *builder) modules() ([]string, error) {
	list, err := os.ReadDir(b.bin)
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	for _, x := range list {
		info, err := buildinfo.ReadFile(filepath.Join(b.bin, x.Name()))
		if err != nil {
			return nil, err
		}
		if info.GoVersion != b.toolchain {
			return nil, fmt.Errorf("%s is built with %s instead of %s", x.Name(), info.GoVersion, b.toolchain)
		}
		for _, m := range info.Deps {
			found[m.Path] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// goOutput runs a go command in the clone.
func (b *builder) goOutput(args ...string) (string, error) {
	cmd := exec.Command(b.goCommand, args...)
	cmd.Dir, cmd.Env = b.source, b.env
	return output(cmd)
}

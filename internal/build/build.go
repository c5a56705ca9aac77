// Package build reports the version and the commit from which an executable of Motte was built.
//
// Go's linker puts the commit into an executable that is built in a git repository. The Makefile
// allows that for motte and motte-core alone. A Task's identity is the SHA-256 of its executable,
// which a commit elsewhere must not change. A source archive that git made names its commit in
// archive.txt.
package build

import (
	"debug/buildinfo"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"
)

// Info says what an executable was built from.
type Info struct {
	Version  string // a tag, or a version with the time and hash of the commit; "": unknown
	Commit   string // hash of the commit; "": unknown
	Date     string // date of the commit, as YYYY-MM-DD
	Modified bool   // the source had uncommitted files or changes
	Archive  bool   // the source came from an archive, and may have been changed
}

// archive is the commit of a source archive, or the text that git replaces.
//
//go:embed archive.txt
var archive string

const module = "motte"

// ErrForeign says that an executable was not built from Motte's source.
var ErrForeign = errors.New("it is not built from Motte's source")

// Self returns the build information of the running executable.
func Self() (Info, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Info{}, ErrForeign
	}
	i, err := read(info)
	if err == nil && i.Commit == "" {
		i = fromArchive(archive)
	}
	return i, err
}

// Of returns the build information of another executable.
func Of(path string) (Info, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return Info{}, err
	}
	return read(info)
}

func read(info *debug.BuildInfo) (i Info, err error) {
	if info.Main.Path != module {
		return Info{}, fmt.Errorf("%w, but from that of %q", ErrForeign, info.Main.Path)
	}
	if v := info.Main.Version; v != "(devel)" {
		i.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value
		case "vcs.time":
			i.Date, _, _ = strings.Cut(s.Value, "T")
		case "vcs.modified":
			i.Modified = s.Value == "true"
		}
	}
	return i, nil
}

var (
	archived = regexp.MustCompile(`^([0-9a-f]{40,64}) ([0-9]{4}-[0-9]{2}-[0-9]{2})`)
	tagged   = regexp.MustCompile(`tag: (v[0-9][^,) \n]*)`)
)

// fromArchive reads archive.txt: hash, date and names of the commit.
func fromArchive(text string) (i Info) {
	found := archived.FindStringSubmatch(text)
	if found == nil {
		return Info{}
	}
	i = Info{Commit: found[1], Date: found[2], Archive: true}
	if tag := tagged.FindStringSubmatch(text); tag != nil {
		i.Version = tag[1]
	}
	return i
}

// String describes the build for people.
func (i Info) String() string {
	version := i.Version
	if version == "" {
		version = "(no version)"
	}
	if i.Commit == "" {
		return version + ", commit not known: it was not built in the main working tree of a git repository"
	}
	text := fmt.Sprintf("%s, commit %s of %s", version, i.Commit, i.Date)
	switch {
	case i.Modified:
		text += ", with changes or files that are not committed"
	case i.Archive:
		text += ", from a source archive"
	}
	return text
}

// Differ reports whether two executables were certainly built from different source.
func Differ(a, b Info) bool {
	return a.Commit != "" && b.Commit != "" && (a.Commit != b.Commit || a.Modified != b.Modified)
}

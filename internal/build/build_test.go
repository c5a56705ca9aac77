package build

import (
	"errors"
	"runtime/debug"
	"testing"
)

const hash = "8462b98d6c19bc412058e53bb205fb2d9c6612a6"

func TestWhatTheLinkerSaysIsRead(t *testing.T) {
	in := &debug.BuildInfo{Main: debug.Module{Path: "motte", Version: "v0.0.0-20261201034434-8462b98d6c19+dirty"},
		Settings: []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: hash},
			{Key: "vcs.time", Value: "2026-12-01T03:44:34Z"}, {Key: "vcs.modified", Value: "true"}}}
	want := Info{Version: "v0.0.0-20261201034434-8462b98d6c19+dirty", Commit: hash, Date: "2026-12-01", Modified: true}
	if got, err := read(in); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	in.Main.Path = "example.org/program"
	if _, err := read(in); !errors.Is(err, ErrForeign) {
		t.Errorf("another program: %v", err)
	}
}

func TestAnArchiveNamesItsCommit(t *testing.T) {
	for text, want := range map[string]Info{
		"$Format:%H %cs %D$\n":                   {},
		"":                                       {},
		hash + " 2026-12-01 HEAD -> main\n":      {Commit: hash, Date: "2026-12-01", Archive: true},
		hash + " 2026-12-01 \n":                  {Commit: hash, Date: "2026-12-01", Archive: true},
		hash + " 2026-12-01 tag: v0.1.0, main\n": {Version: "v0.1.0", Commit: hash, Date: "2026-12-01", Archive: true},
		hash + " 2026-12-01 HEAD, tag: v1.2.3\n": {Version: "v1.2.3", Commit: hash, Date: "2026-12-01", Archive: true},
	} {
		if got := fromArchive(text); got != want {
			t.Errorf("%q: %+v; want %+v", text, got, want)
		}
	}
}

func TestOnlyKnownBuildsDiffer(t *testing.T) {
	a, b, dirty := Info{Commit: hash}, Info{Commit: hash[1:] + "0"}, Info{Commit: hash, Modified: true}
	for _, c := range []struct {
		a, b Info
		want bool
	}{{a, a, false}, {a, b, true}, {a, dirty, true}, {a, Info{}, false}, {Info{}, Info{}, false}} {
		if Differ(c.a, c.b) != c.want {
			t.Errorf("%v and %v: want %v", c.a, c.b, c.want)
		}
	}
}

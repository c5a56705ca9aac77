package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"motte/core/seglog"
	"motte/core/wire"
	"motte/host"
	"motte/internal/build"
)

// versionView describes this executable, for programs.
type versionView struct {
	buildView
	Core     coreView `json:"core"`
	Store    int      `json:"store"` // version of the format of segments
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Protocol int      `json:"protocol"`
}

// buildView describes the source of an executable.
type buildView struct {
	Version  string `json:"version,omitempty"` // missing: not known; so is the commit
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`
	Modified bool   `json:"modified"`          // with uncommitted changes
	Archive  bool   `json:"archive,omitempty"` // built from a source archive, whose changes are unknown
}

// coreView is the motte-core that 'motte serve' would start.
type coreView struct {
	buildView
	Differs bool   `json:"differs"` // it was built from other source than motte
	Error   string `json:"error,omitempty"`
}

func newBuild(i build.Info) buildView {
	return buildView{i.Version, i.Commit, i.Date, i.Modified, i.Archive}
}

func (a *app) version() *cobra.Command {
	return a.leaf(&cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and whether motte-core has the same",
		Long: `Print the version and the commit of this motte, and those of the motte-core beside it, which
'motte serve' starts. Both must be of one build: another motte-core may not understand this
motte.`,
	}, func(context.Context, []string) error {
		self, err := build.Self()
		if err != nil {
			return fmt.Errorf("what this executable was built from: %w", err)
		}
		v := versionView{buildView: newBuild(self), Store: seglog.SegmentVersion, Protocol: wire.Version,
			Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
		beside := v.lookAtCore(self)
		if a.json {
			return a.emit(v)
		}
		_, err = fmt.Fprintf(a.stdout, "motte       %v\nmotte-core  %s\nformats     store %d, protocol %d\nbuilt by    %s for %s\n",
			self, beside, v.Store, v.Protocol, v.Go, v.Platform)
		return err
	})
}

// lookAtCore says whether the motte-core beside this executable is of the same build.
func (v *versionView) lookAtCore(self build.Info) string {
	bin, err := host.Bin()
	var core build.Info
	if err == nil {
		core, err = build.Of(filepath.Join(bin, "motte-core"))
	}
	if err != nil {
		v.Core.Error = err.Error()
		return "not known: " + err.Error()
	}
	v.Core = coreView{buildView: newBuild(core), Differs: build.Differ(self, core)}
	switch {
	case v.Core.Differs:
		return "ANOTHER BUILD: " + core.String()
	case core.Commit == "" || self.Commit == "":
		return core.String()
	}
	return "the same"
}

package host

import (
	"path/filepath"

	"motte/internal/build"
)

// tellBuild logs what this host and its Core were built from. A Core of another
// build may speak another version of the channel between the two.
func (h *host) tellBuild() {
	self, err := build.Self()
	if err != nil {
		return // the host is part of another program, which has versions of its own
	}
	h.log.Info("motte", "build", self.String())
	core, err := build.Of(filepath.Join(h.Bin, "motte-core"))
	if err == nil && build.Differ(self, core) {
		h.log.Warn("motte-core is not of the same build as motte: install both together", "motte-core", core.String())
	}
}

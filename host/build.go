package host

import (
	"path/filepath"

	"motte/internal/build"
)

// tellBuild logs the builds of this host and of its Core. A Core of another build may speak another
// version of the control channel.
func (h *host) tellBuild() {
	self, err := build.Self()
	if err != nil {
		return // the host is part of another program, with versions of its own
	}
	h.log.Info("motte", "build", self.String())
	core, err := build.Of(filepath.Join(h.Bin, "motte-core"))
	if err == nil && build.Differ(self, core) {
		h.log.Warn("motte-core is not of the same build as motte: install both together", "motte-core", core.String())
	}
}

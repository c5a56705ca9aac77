package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"motte/core/wire"
)

// versionView is what this executable is, for programs.
type versionView struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Protocol int    `json:"protocol"`
}

func (a *app) version() *cobra.Command {
	return a.leaf(&cobra.Command{
		Use:   "version",
		Short: "Print the version",
	}, func(context.Context, []string) error {
		v := versionView{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Protocol: wire.Version}
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			v.Version = info.Main.Version
		}
		if a.json {
			return a.emit(v)
		}
		_, err := fmt.Fprintf(a.stdout, "motte %s, protocol %d, %s %s\n", v.Version, v.Protocol, v.Go, v.Platform)
		return err
	})
}

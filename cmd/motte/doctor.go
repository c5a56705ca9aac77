package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"motte/client"
	"motte/host"
	"motte/host/anchor"
	"motte/host/sandbox"
)

// checkView is one thing that the doctor looked at.
type checkView struct {
	About     string `json:"about"` // wall, executable, anchor, store or profile
	Name      string `json:"name"`
	Mandatory bool   `json:"mandatory"`
	OK        bool   `json:"ok"`
	Detail    string `json:"detail,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
}

func (a *app) doctor() *cobra.Command {
	var dir, place string
	var taskDirs []string
	cmd := a.leaf(&cobra.Command{
		Use:   "doctor",
		Short: "Say whether this machine can serve, and which walls hold around a Task",
		Long: `Put up every wall around a Task once, and say of each whether it holds on this machine;
look for the executables that 'motte serve' needs, and for a TPM, or another anchor that
--anchor names; with --dir say what lies in a data directory that should not, and of your
profile whether the head of the log is kept beside it. It fails if something is missing
without which a Task is not started, or an anchor that was named can't be used.`,
		Example: `  motte doctor
  motte doctor --dir /var/lib/motte --anchor file:/mnt/other/motte.head`,
	}, func(ctx context.Context, _ []string) error {
		bin, err := host.Bin()
		if err != nil {
			return err
		}
		checks := append(wallChecks(), coreCheck(bin))
		checks = append(checks, taskChecks(append([]string{bin}, taskDirs...))...)
		checks = append(checks, anchorCheck(ctx, place))
		if dir != "" {
			checks = append(checks, storeChecks(dir)...)
		}
		if path, err := a.profilePath(); err == nil {
			checks = append(checks, headCheck(path))
		}
		if err := a.printChecks(checks); err != nil {
			return err
		}
		return failedChecks(checks)
	})
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "data directory `DIR` to look into")
	f.StringVar(&place, "anchor", "", anchorUsage+" (default: look at "+theTPM+")")
	f.StringArrayVar(&taskDirs, "task-dir", nil, "directory `DIR` with more Tasks' executables; may be given several times")
	for _, name := range []string{"dir", "task-dir"} {
		_ = cmd.MarkFlagDirname(name) // of the shell's completion
	}
	return cmd
}

func wallChecks() (list []checkView) {
	for _, w := range sandbox.Probe() {
		list = append(list, checkView{About: "wall", Name: w.Name, Mandatory: w.Mandatory, OK: w.Holds, Detail: w.Detail})
	}
	return append(list, crashCheck("/proc/sys/debug/exception-trace"))
}

// crashCheck looks whether the kernel logs how processes crash. A Task that was
// taken over would choose what stands there: registers, and bytes of its memory.
func crashCheck(setting string) checkView {
	c := checkView{About: "wall", Name: "crashes do not reach the kernel's log"}
	on, err := os.ReadFile(setting)
	switch {
	case err != nil:
		c.Detail = err.Error()
	case strings.TrimSpace(string(on)) != "0":
		c.Detail = "a Task that was taken over can write what it knows there, by crashing: sysctl debug.exception-trace=0"
	default:
		c.OK = true
	}
	return c
}

func coreCheck(bin string) checkView {
	c := checkView{About: "executable", Name: "motte-core", Mandatory: true, Detail: filepath.Join(bin, "motte-core")}
	measurement, err := host.Measure(c.Detail)
	if err != nil {
		c.Detail = fmt.Sprintf("it must lie beside motte: %v", err)
		return c
	}
	c.OK, c.SHA256 = true, identifier(measurement)
	return c
}

func taskChecks(dirs []string) (list []checkView) {
	found, err := host.Executables(dirs...)
	for _, x := range found {
		list = append(list, checkView{About: "executable", Name: filepath.Base(x.Path), OK: true, Detail: x.Path, SHA256: identifier(x.Measurement)})
	}
	if err != nil {
		list = append(list, checkView{About: "executable", Name: "Tasks", Detail: strings.ReplaceAll(err.Error(), "\n", "; ")})
	} else if len(list) == 0 {
		list = append(list, checkView{About: "executable", Name: "Tasks", Detail: "none: no index can be served"})
	}
	return list
}

// theTPM is what a machine's own TPM is called.
const theTPM = "tpm:/dev/tpmrm0"

// anchorCheck looks whether an anchor can be read; without one that was named,
// whether there is a TPM to be one.
func anchorCheck(ctx context.Context, spec string) checkView {
	c := checkView{About: "anchor", Name: "anchor", Mandatory: true}
	if spec == "" {
		spec, c.Name, c.Mandatory = theTPM, "TPM", false
	}
	place, err := anchor.Open(spec)
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	head, found, err := place.Read(ctx)
	switch {
	case err != nil:
		c.Detail = err.Error()
	case found:
		c.OK, c.Detail = true, fmt.Sprintf("%s remembers record %d of a log", place, head.LSN())
	default:
		c.OK, c.Detail = true, fmt.Sprintf("%s can be read, and holds no head", place)
	}
	return c
}

// storeChecks looks for what opens a store to whoever takes its disk.
func storeChecks(dir string) []checkView {
	list := []checkView{{About: "store", Name: "data directory", OK: true, Detail: dir}}
	if info, err := os.Stat(dir); err != nil {
		list[0].OK, list[0].Detail = false, err.Error()
		return list
	} else if info.Mode().Perm()&0o077 != 0 {
		list[0].OK, list[0].Detail = false, "other users can look into it: chmod 700 "+dir
	}
	for _, f := range []struct{ name, check, found, missing string }{
		{"root.key", "root key",
			"it lies in the data directory: whoever takes the disk can read everything; see 'motte help serve', --root-key",
			"it does not lie in the data directory"},
		{"admin.profile", "administrator's key",
			"it lies in the data directory: whoever takes the disk can administer the store, and an older copy of the directory has the head of the log that was seen then; move the file elsewhere",
			"it does not lie in the data directory"},
	} {
		c := checkView{About: "store", Name: f.check, OK: true, Detail: f.missing}
		if _, err := os.Stat(filepath.Join(dir, f.name)); !errors.Is(err, os.ErrNotExist) {
			c.OK, c.Detail = false, f.found
		}
		list = append(list, c)
	}
	return list
}

// headCheck looks whether a store that went back would be noticed with a profile.
func headCheck(path string) checkView {
	file := string(client.HeadFileOf(path))
	c := checkView{About: "profile", Name: "head of the log", OK: true, Detail: "it is kept in " + file}
	p, err := client.ReadProfile(path)
	if err == nil {
		_, err = p.Heads.LoadHead(p.CoreKey)
	}
	if err == nil {
		if err = unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK); err != nil {
			err = fmt.Errorf("it can't be kept in %s: %w", filepath.Dir(path), err)
		}
	}
	if err != nil {
		c.OK, c.Detail = false, err.Error()
	}
	return c
}

func (a *app) printChecks(list []checkView) error {
	titles := map[string]string{"wall": "Walls around a Task", "executable": "Executables", "anchor": "The anchor", "store": "The store", "profile": "The profile"}
	last := ""
	for _, c := range list {
		if a.json {
			if err := a.emit(c); err != nil {
				return err
			}
			continue
		}
		if c.About != last {
			fmt.Fprintf(a.stdout, "%s%s:\n", map[bool]string{true: "\n"}[last != ""], titles[c.About])
			last = c.About
		}
		mark := "ok  "
		switch {
		case !c.OK && c.Mandatory:
			mark = "NO  "
		case !c.OK:
			mark = "no  "
		}
		line := strings.TrimSuffix(fmt.Sprintf("  %s%s: %s", mark, c.Name, strings.TrimSpace(c.Detail+" "+c.SHA256)), ": ")
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// failedChecks is an error if something does not hold that must.
func failedChecks(list []checkView) error {
	var names []string
	for _, c := range list {
		if c.Mandatory && !c.OK {
			names = append(names, c.Name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("this machine can't serve: %s", strings.Join(names, "; "))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"motte/client"
	"motte/host"
	"motte/host/anchor"
	"motte/host/sandbox"
)

// checkView is the result of one check.
type checkView struct {
	About     string `json:"about"`             // confinement, executable, anchor, store or profile
	Name      string `json:"name"`              // statement that is true if the check passes
	Problem   string `json:"problem,omitempty"` // statement that is true if it fails
	Mandatory bool   `json:"mandatory"`
	OK        bool   `json:"ok"`
	Detail    string `json:"detail,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
}

// finding returns the result of the check as a phrase.
func (c *checkView) finding() string {
	if c.OK {
		return c.Name
	}
	return c.Problem
}

// mark returns the word before a finding: ok, or whether the failure is fatal.
func (c *checkView) mark() string {
	switch {
	case c.OK:
		return "ok"
	case c.Mandatory:
		return "FAIL"
	}
	return "warn"
}

func (a *app) doctor() *cobra.Command {
	var dir, place string
	var taskDirs []string
	cmd := a.leaf(&cobra.Command{
		Use:   "doctor",
		Short: "Say whether this machine can serve, and how far it can confine a Task",
		Long: `Apply every step of a Task's confinement once, and say of each whether it holds on this
machine. Look for the executables that 'motte serve' needs, and for a TPM, or another anchor
that --anchor names. With --dir, look for keys in a data directory that belong elsewhere. Say
whether the head of the log can be kept beside your profile. The command fails if a mandatory
step of the confinement or an executable is missing, or if the named anchor can't be used.`,
		Example: `  motte doctor
  motte doctor --dir /var/lib/motte --anchor file:/mnt/other/motte.head`,
	}, func(ctx context.Context, _ []string) error {
		profile, err := a.profilePath()
		if err != nil && !errors.Is(err, errNoProfile) {
			return err
		}
		bin, err := host.Bin()
		if err != nil {
			return err
		}
		checks := append(confinementChecks(), coreCheck(bin))
		checks = append(checks, taskChecks(append([]string{bin}, taskDirs...))...)
		checks = append(checks, anchorCheck(ctx, place))
		if dir != "" {
			checks = append(checks, storeChecks(dir)...)
		}
		if profile != "" {
			checks = append(checks, headCheck(profile))
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

func confinementChecks() (list []checkView) {
	for _, w := range sandbox.Probe() {
		list = append(list, checkView{About: "confinement", Name: w.Name, Problem: w.Broken,
			Mandatory: w.Mandatory, OK: w.Holds, Detail: w.Detail})
	}
	return append(append(list, classCheck()), kernelChecks("/proc/sys", "/proc/cpuinfo")...)
}

// classCheck checks whether the host can lower the class of a Task that takes too much processor time.
func classCheck() checkView {
	c := checkView{About: "confinement", OK: sandbox.MaySetClass(), Name: "the class of a Task can be lowered and raised",
		Problem: "a Task that takes much processor time while it is asked keeps its class"}
	if !c.OK {
		c.Detail = "the limit of niceness forbids to raise it again: LimitNICE=+10 in the unit, or 'ulimit -e 10'"
	}
	return c
}

// kernelChecks check whether a Task can write into the kernel's log, and whether it can read
// counters of the machine that confinement does not hide. sys and processor are /proc/sys
// and /proc/cpuinfo.
func kernelChecks(sys, processor string) []checkView {
	list := []checkView{
		settingCheck(filepath.Join(sys, "debug/exception-trace"), "0", checkView{
			Name:    "crashes do not reach the kernel's log",
			Problem: "crashes reach the kernel's log",
			Detail:  "debug.exception-trace is %s; a Task that was taken over can write its inputs there, by crashing: sysctl debug.exception-trace=0"}),
		settingCheck(filepath.Join(sys, "kernel/print-fatal-signals"), "0", checkView{
			Name:    "fatal signals do not reach the kernel's log",
			Problem: "fatal signals reach the kernel's log",
			Detail:  "kernel.print-fatal-signals is %s; it prints registers, which a Task chooses: sysctl kernel.print-fatal-signals=0"}),
		settingCheck(filepath.Join(sys, "kernel/dmesg_restrict"), "1", checkView{
			Name:    "only root reads the kernel's log",
			Problem: "everybody can read the kernel's log",
			Detail:  "kernel.dmesg_restrict is %s; some instructions of a Task are logged whatever is set: sysctl kernel.dmesg_restrict=1"}),
		settingCheck(filepath.Join(sys, "vm/overcommit_memory"), "0 1", checkView{
			Name:    "no Task sees how much memory the kernel has promised",
			Problem: "a Task sees how much memory the kernel has promised to others",
			Detail:  "vm.overcommit_memory is %s; the kernel then refuses memory by a count of the whole machine: sysctl vm.overcommit_memory=0"}),
	}
	return append(list, instructionCheck(processor))
}

// settingCheck checks whether a setting of the kernel has one of the given values. The detail of
// a failure has a place for the value.
func settingCheck(path, values string, c checkView) checkView {
	c.About = "confinement"
	text, err := os.ReadFile(path)
	value := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		c.Problem, c.Detail = "it is not known whether "+c.Name, err.Error()
	case !slices.Contains(strings.Fields(values), value):
		c.Detail = fmt.Sprintf(c.Detail, value)
	default:
		c.OK, c.Detail = true, ""
	}
	return c
}

// instructionCheck checks for instructions that the processor reports to the kernel: those that
// UMIP forbids, and locks across a cache line. The kernel logs them, with registers that a Task
// chooses, and lets the Task go on.
func instructionCheck(processor string) checkView {
	c := checkView{About: "confinement", Name: "no instruction is written into the kernel's log",
		Problem: "instructions are written into the kernel's log"}
	text, err := os.ReadFile(processor)
	if err != nil {
		c.Problem, c.Detail = "it is not known whether "+c.Name, err.Error()
		return c
	}
	var logged []string
	for _, f := range []string{"umip", "split_lock_detect", "bus_lock_detect"} {
		if slices.Contains(strings.Fields(string(text)), f) {
			logged = append(logged, f)
		}
	}
	if logged == nil {
		c.OK = true
		return c
	}
	c.Detail = "the processor has " + strings.Join(logged, ", ") +
		", and the kernel logs such an instruction with registers that a Task chooses; no setting of a running kernel stops that: " +
		"let only those read the kernel's log who may read all objects"
	return c
}

func coreCheck(bin string) checkView {
	c := checkView{About: "executable", Name: "motte-core", Problem: "motte-core can't be used", Mandatory: true, Detail: filepath.Join(bin, "motte-core")}
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
		c := checkView{About: "executable", Name: filepath.Base(x.Path), OK: true, Detail: x.Path, SHA256: identifier(x.Measurement)}
		if err := sandbox.CheckExecutable(x.Path); err != nil {
			c.OK, c.Problem, c.Detail = false, c.Name+" can't run as a Task", err.Error()
		}
		list = append(list, c)
	}
	if err != nil {
		list = append(list, checkView{About: "executable", Name: "Tasks", Problem: "some Tasks can't be read", Detail: strings.ReplaceAll(err.Error(), "\n", "; ")})
	} else if len(list) == 0 {
		list = append(list, checkView{About: "executable", Name: "Tasks", Problem: "there are no Tasks", Detail: "no index can be served"})
	}
	return list
}

// theTPM names the machine's own TPM.
const theTPM = "tpm:/dev/tpmrm0"

// anchorCheck checks whether the given anchor can be read. If no anchor was given, it checks
// for a TPM.
func anchorCheck(ctx context.Context, spec string) checkView {
	c := checkView{About: "anchor", Name: "anchor", Problem: "the anchor can't be used", Mandatory: true}
	if spec == "" {
		spec, c.Name, c.Problem, c.Mandatory = theTPM, "TPM", "no TPM can be used as an anchor", false
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

// storeChecks checks the data directory for keys, which a thief of the disk would get.
func storeChecks(dir string) []checkView {
	list := []checkView{{About: "store", Name: "data directory", Problem: "the data directory is missing, or open to others", OK: true, Detail: dir}}
	if info, err := os.Stat(dir); err != nil {
		list[0].OK, list[0].Detail = false, err.Error()
		return list
	} else if info.Mode().Perm()&0o077 != 0 {
		list[0].OK, list[0].Detail = false, "other users can look into it: chmod 700 "+dir
	}
	for _, f := range []struct{ name, subject, found string }{
		{"root.key", "the root key",
			"whoever takes the disk can read everything; see 'motte help serve', --root-key"},
		{"admin.profile", "the administrator's key",
			"whoever takes the disk can administer the store, and an older copy of the directory has the head of the log that was seen then; move the file elsewhere"},
	} {
		c := checkView{About: "store", Name: f.subject + " does not lie in the data directory",
			Problem: f.subject + " lies in the data directory", OK: true}
		if _, err := os.Stat(filepath.Join(dir, f.name)); !errors.Is(err, os.ErrNotExist) {
			c.OK, c.Detail = false, f.found
		}
		list = append(list, c)
	}
	return list
}

// headCheck checks whether a client with the profile would notice a rollback of the store.
func headCheck(path string) checkView {
	file := string(client.HeadFileOf(path))
	c := checkView{About: "profile", Name: "head of the log", Problem: "the head of the log can't be kept",
		OK: true, Detail: "it is kept in " + file}
	p, err := client.ReadProfile(path)
	if err == nil {
		_, err = p.Heads.LoadHead(p.LogKey())
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
	titles := map[string]string{"confinement": "Confinement of a Task", "executable": "Executables", "anchor": "The anchor", "store": "The store", "profile": "The profile"}
	last := ""
	for _, c := range list {
		if a.json {
			if c.OK {
				c.Problem = ""
			}
			if err := a.emit(c); err != nil {
				return err
			}
			continue
		}
		if c.About != last {
			fmt.Fprintf(a.stdout, "%s%s:\n", map[bool]string{true: "\n"}[last != ""], titles[c.About])
			last = c.About
		}
		line := strings.TrimSuffix(fmt.Sprintf("  %-5s%s: %s", c.mark(), c.finding(), strings.TrimSpace(c.Detail+" "+c.SHA256)), ": ")
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// failedChecks returns an error if a mandatory check failed.
func failedChecks(list []checkView) error {
	var names []string
	for _, c := range list {
		if c.Mandatory && !c.OK {
			names = append(names, c.finding())
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("this machine can't serve: %s", strings.Join(names, "; "))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"motte/host"
	"motte/taskpkg"
)

// packageFlags say where a package goes, and what is expected of it.
type packageFlags struct {
	taskDir string // directory of Tasks' executables; "": beside motte
	trust   string // trust file; "": trust.json in the directory, if it is there
	sha256  string // that the executable must have; "": any
	logins  string // file with the logins of registries; "": none
}

func (f *packageFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.taskDir, "task-dir", "", "directory `DIR` of Tasks' executables, as of 'motte serve' (default: beside motte)")
	flags.StringVar(&f.trust, "trust", "", "trust `FILE`: which keys must sign which Tasks (default: "+taskpkg.TrustFile+" in the directory, if it is there)")
	flags.StringVar(&f.sha256, "sha256", "", "SHA-256 that the executable must have, 64 hexadecimal `DIGITS`")
	f.addLogins(c)
	_ = c.MarkFlagDirname("task-dir") // of the shell's completion
}

func (f *packageFlags) addLogins(c *cobra.Command) {
	c.Flags().StringVar(&f.logins, "registry-config", "", "`FILE` with the logins of registries, in the format of Docker's config.json (default: no login)")
}

// dir returns the directory of Tasks' executables.
func (f *packageFlags) dir() (string, error) {
	if f.taskDir == "" {
		return host.Bin()
	}
	return filepath.Abs(f.taskDir)
}

// readTrust reads the trust file. Only the default file may be missing.
func (f *packageFlags) readTrust() (*taskpkg.Trust, error) {
	if f.trust != "" {
		return taskpkg.ReadTrust(f.trust)
	}
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	trust, err := taskpkg.ReadTrust(filepath.Join(dir, taskpkg.TrustFile))
	if errors.Is(err, os.ErrNotExist) {
		return &taskpkg.Trust{}, nil
	}
	return trust, err
}

// examined is a package whose signature was checked.
type examined struct {
	*taskpkg.Package
	verdict taskpkg.Verdict
}

var errOtherDigest = errors.New("the executable has another SHA-256 than --sha256 says")

// examine opens a package, and checks its digest and signature. The caller must close the package.
func (f *packageFlags) examine(ctx context.Context, source string) (*examined, error) {
	trust, err := f.readTrust()
	if err != nil {
		return nil, err
	}
	var pin [32]byte
	if f.sha256 != "" {
		if pin, err = parseHex(f.sha256); err != nil {
			return nil, err
		}
	}
	p, err := taskpkg.Open(ctx, source, taskpkg.Access{Config: f.logins})
	if err != nil {
		return nil, err
	}
	if f.sha256 != "" && pin != p.Row.Measurement {
		p.Close()
		return nil, fmt.Errorf("%w: it has %x", errOtherDigest, p.Row.Measurement)
	}
	verdict, err := trust.Check(p)
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("package %s: %w", source, err)
	}
	return &examined{p, verdict}, nil
}

// taskPackageView is a package for programs.
type taskPackageView struct {
	taskView
	Source       string   `json:"source,omitempty"`
	SourceBase64 []byte   `json:"source_base64,omitempty"`
	Size         int64    `json:"size"`
	Signers      []string `json:"signers"`             // keys of the trust file
	Strange      int      `json:"other_signatures"`    // by keys that the trust file does not have
	Required     bool     `json:"signature_required"`  // by the trust file
	Installed    string   `json:"installed,omitempty"` // path of the executable
	Registered   bool     `json:"registered"`
}

func (x *examined) view() taskPackageView {
	v := taskPackageView{taskView: newTask(x.Name, &x.Row), Size: x.Size, Signers: x.verdict.Signers,
		Strange: x.verdict.Strange, Required: x.verdict.Required}
	if v.Signers == nil {
		v.Signers = []string{}
	}
	v.Source, v.SourceBase64 = textOrBytes(x.Source)
	return v
}

// signers says for people who signed the package.
func (x *examined) signers() string {
	v := &x.verdict
	var parts []string
	if len(v.Signers) > 0 {
		parts = append(parts, strings.Join(v.Signers, " and "))
	}
	if v.Strange > 0 {
		parts = append(parts, plural(v.Strange, "key")+" that the trust file does not have: not verified")
	}
	if len(parts) == 0 {
		return "nobody"
	}
	text := strings.Join(parts, ", and ")
	if v.Required {
		text += ", as the trust file asks"
	}
	return text
}

// claim is a line about a package, for people.
type claim struct{ subject, text string }

func (x *examined) claims() []claim {
	return append([]claim{
		{"Task", x.Name},
		{"SHA-256", identifier(x.Row.Measurement)},
		{"source", x.Source},
		{"signed by", x.signers()},
		{"size", size(uint64(x.Size))},
	}, rowClaims(new(newTask(x.Name, &x.Row)))...)
}

// rowClaims are the lines about a row.
func rowClaims(t *taskView) []claim {
	order := "in the order of their identities"
	if t.Ordered {
		order = "in an order that the Task may choose"
	}
	return []claim{
		{"operations", strings.Join(t.Operations, ", ")},
		{"inputs", fmt.Sprintf("%s, at most %s", t.Type, size(uint64(t.MaxInput)))},
		{"answers", fmt.Sprintf("at most %d objects, %s", t.MaxResults, order)},
		{"deadline", (time.Duration(t.DeadlineMS) * time.Millisecond).String()},
		{"memory", size(t.Memory)},
		{"shelf", shelfText(t.Shelf)},
		{"leak budget", fmt.Sprintf("%s for each principal, %s for all together", budgetText(t.LeakBudget), budgetText(t.IndexBudget))},
	}
}

// shelfText writes the shelf quota of a row.
func shelfText(quota uint64) string {
	if quota == 0 {
		return "none"
	}
	return size(quota) + " for each index"
}

// writeClaims writes lines in two columns.
func writeClaims(w io.Writer, list []claim) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range list {
		fmt.Fprintf(table, "%s\t%s\n", c.subject, c.text)
	}
	return table.Flush()
}

// Command release makes the archive of a release: the executables for Linux on x86-64,
// the systemd units, the documentation, and the licences of all linked code.
//
// Two releases of one commit are equal byte for byte, on any machine. So a reader can compare a
// published archive with the source:
//
//  1. The source is a clone of the commit. Files of the working tree that are not in the
//     commit, also ignored ones, do not reach the archive.
//  2. The build inherits only those settings of the go command that say where modules and
//     caches are. go.mod names the toolchain.
//  3. Each file of the archive has a fixed owner and mode, and the time of the commit. The
//     files are sorted by name.
//
// It prints the measurements of motte-core and of the Tasks.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("out", "dist", "directory `DIR` for the archive and SHA256SUMS")
	goCommand := flag.String("go", "go", "the go `COMMAND`")
	flag.Parse()
	if err := release(".", *out, *goCommand, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release makes the archive of the commit that is checked out in the repository root.
func release(root, out, goCommand string, stdout io.Writer) error {
	c, err := cleanCommit(root)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "motte-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := builder{commit: c, goCommand: goCommand, source: filepath.Join(work, "source"), bin: filepath.Join(work, "bin")}
	if err := c.clone(b.source); err != nil {
		return err
	}
	version, err := b.build()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("motte-%s-%s-%s", version, targetOS, targetArch)
	a := archive{}
	if err := b.collect(a); err != nil {
		return err
	}
	text, err := a.pack(name, c.time)
	if err != nil {
		return err
	}
	if err := write(out, name+".tar.gz", text); err != nil {
		return err
	}
	return report(stdout, filepath.Join(out, name+".tar.gz"), a)
}

// write puts an archive and its SHA-256 into a directory. SHA256SUMS has the form that
// sha256sum checks.
func write(dir, name string, text []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
		return err
	}
	sums := fmt.Sprintf("%x  %s\n", sha256.Sum256(text), name)
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(sums), 0o644)
}

// report prints the measurements: the SHA-256 of motte-core and of each Task. The Core knows a
// Task by its SHA-256.
func report(to io.Writer, path string, a archive) error {
	if _, err := fmt.Fprintf(to, "%s\n\nMeasurements (SHA-256):\n", path); err != nil {
		return err
	}
	for _, name := range a.measured() {
		sum := sha256.Sum256(a[executables+name].data)
		if _, err := fmt.Fprintf(to, "  %-20s%x\n", name, sum); err != nil {
			return err
		}
	}
	return nil
}

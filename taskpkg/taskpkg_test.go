package taskpkg

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"motte/internal/testutil"
	"motte/taskpkg/manifest"
)

// image returns the bytes of an executable that the check accepts, and that no machine can run. It
// ends with a text of its own.
func image(text string) []byte {
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Phoff: 64, Phentsize: 56, Phnum: 1}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	stack := elf.Prog64{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W)}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, h)
	_ = binary.Write(&b, binary.LittleEndian, stack)
	return append(b.Bytes(), text...)
}

// manifestOf returns the text of a manifest.
func manifestOf(name string) string {
	return fmt.Sprintf(`{"version": 1, "name": %q, "operations": ["search", "count"], "type": "text",
		"max_input": 65536, "max_results": 1000, "deadline_ms": 2000, "memory": 536870912}`, name)
}

// lay writes a package into a new directory, and returns the directory.
func lay(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	testutil.Must(t, os.WriteFile(filepath.Join(dir, Prefix+name), image(name), 0o755),
		os.WriteFile(filepath.Join(dir, Prefix+name+ManifestSuffix), []byte(manifestOf(name)), 0o644))
	return dir
}

// open opens a package that must be right.
func open(t *testing.T, source string) *Package {
	t.Helper()
	p, err := Open(context.Background(), source, Access{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// refused expects that Open refuses a source for a reason.
func refused(t *testing.T, source, why string) {
	t.Helper()
	p, err := Open(context.Background(), source, Access{})
	if err == nil {
		p.Close()
	}
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v, want: %s", source, err, why)
	}
}

func TestAPackageIsADirectoryOrAnExecutable(t *testing.T) {
	dir := lay(t, "near")
	for _, source := range []string{dir, filepath.Join(dir, Prefix+"near")} {
		p := open(t, source)
		if p.Name != "near" || p.Row.MaxResults != 1000 || p.Size != int64(len(image("near"))) || p.Signature != nil {
			t.Errorf("%s: %+v", source, p)
		}
	}
}

func TestWhatIsNoPackage(t *testing.T) {
	path := func(dir string) string { return filepath.Join(dir, Prefix+"near") }
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	testutil.Must(t, os.WriteFile(elsewhere, image("elsewhere"), 0o755))
	link := func(part string) func(dir string) error {
		return func(dir string) error {
			_ = os.Remove(path(dir) + part)
			return os.Symlink(elsewhere, path(dir)+part)
		}
	}
	pipe := func(part string) func(dir string) error {
		return func(dir string) error {
			_ = os.Remove(path(dir) + part)
			return syscall.Mkfifo(path(dir)+part, 0o644)
		}
	}
	write := func(part string, content []byte) func(dir string) error {
		return func(dir string) error { return os.WriteFile(path(dir)+part, content, 0o644) }
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		why    string
	}{
		"the executable is a link":       {link(""), "is a symbolic link"},
		"the manifest is a link":         {link(ManifestSuffix), "is a symbolic link"},
		"the signature is a link":        {link(SignatureSuffix), "is a symbolic link"},
		"the executable is a pipe":       {pipe(""), "is not a regular file"},
		"the manifest is a pipe":         {pipe(ManifestSuffix), "is not a regular file"},
		"the signature is a pipe":        {pipe(SignatureSuffix), "is not a regular file"},
		"the executable is missing":      {func(dir string) error { return os.Remove(path(dir)) }, "no such file"},
		"the manifest is missing":        {func(dir string) error { return os.Remove(path(dir) + ManifestSuffix) }, "has no manifest"},
		"the manifest is too large":      {write(ManifestSuffix, bytes.Repeat([]byte(" "), manifest.MaxSize+1)), "more than 16384 bytes"},
		"the signature is too large":     {write(SignatureSuffix, bytes.Repeat([]byte(" "), maxSignature+1)), "more than 16384 bytes"},
		"the executable is a script":     {write("", []byte("#!/bin/sh\n")), "not an ELF file"},
		"the manifest is for another":    {write(ManifestSuffix, []byte(manifestOf("far"))), "the manifest is for motte-task-far"},
		"the manifest names a path":      {write(ManifestSuffix, []byte(manifestOf("../near"))), "name has to be"},
		"there are several packages":     {func(dir string) error { return os.WriteFile(dir+"/"+Prefix+"x.json", nil, 0o644) }, "several packages"},
		"the executable is not readable": {func(dir string) error { return os.RemoveAll(dir) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, "near")
			testutil.Must(t, c.change(dir))
			refused(t, dir, c.why)
		})
	}
}

func TestAnExecutableThatIsTooLargeIsRefused(t *testing.T) {
	dir := lay(t, "near")
	testutil.Must(t, os.Truncate(filepath.Join(dir, Prefix+"near"), 1<<30+1)) // a hole: it takes no space
	refused(t, dir, "more than 1073741824")
}

// TestTheSourceMayChange: what is installed is what was measured, and not what lies at the source
// later.
func TestTheSourceMayChange(t *testing.T) {
	dir, to := lay(t, "near"), t.TempDir()
	defer syscall.Umask(syscall.Umask(0o077)) // that of many a root user
	p := open(t, dir)
	executable := filepath.Join(dir, Prefix+"near")
	testutil.Must(t, os.WriteFile(executable, image("something else"), 0o755))
	path, err := p.Copy(to)
	testutil.Must(t, err)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, image("near")) {
		t.Errorf("the installed executable is not what was measured (%v)", err)
	}
	if want := fmt.Sprintf("%s%x", to+"/motte-task-near.", p.Row.Measurement); path != want {
		t.Errorf("installed as %s, want %s", path, want)
	}
	info, err := os.Stat(path)
	testutil.Must(t, err)
	if info.Mode().Perm() != 0o644 {
		t.Errorf("the installed file has mode %v; want one that the server's user can read, and nobody can execute", info.Mode())
	}
}

// TestAChangedCopyIsNotInstalled, and leaves no file behind.
func TestAChangedCopyIsNotInstalled(t *testing.T) {
	for name, change := range map[string]func(f *os.File) error{
		"a byte":  func(f *os.File) error { _, err := f.WriteAt([]byte{'N'}, int64(len(image("")))); return err },
		"shorter": func(f *os.File) error { return f.Truncate(100) },
	} {
		t.Run(name, func(t *testing.T) {
			p, to := open(t, lay(t, "near")), t.TempDir()
			testutil.Must(t, change(p.copy))
			if path, err := p.Copy(to); !errors.Is(err, ErrChanged) {
				t.Errorf("%s, %v; want ErrChanged", path, err)
			}
			if left, err := os.ReadDir(to); err != nil || len(left) != 0 {
				t.Errorf("%v is left (%v)", left, err)
			}
		})
	}
}

// TestALinkInTheTargetIsNotFollowed: the installed file replaces it.
func TestALinkInTheTargetIsNotFollowed(t *testing.T) {
	p, to := open(t, lay(t, "near")), t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	testutil.Must(t, os.WriteFile(victim, []byte("precious"), 0o644), os.Symlink(victim, filepath.Join(to, p.FileName())))
	_, err := p.Copy(to)
	testutil.Must(t, err)
	if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
		t.Errorf("the file behind the link has %q (%v)", text, err)
	}
}

package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTasksOfOtherLanguagesRun: threads, condition variables and the standard streams of other
// languages work in confinement.
func TestTasksOfOtherLanguagesRun(t *testing.T) {
	for _, name := range []string{"glibc", "musl", "cpp", "rust"} {
		t.Run(name, func(t *testing.T) {
			if got := attempt(t, task(t, name), "begin"); got != "done" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestWhatCantRunIsRefusedWithTheReason, by the check before a Task is registered, and by the
// start.
func TestWhatCantRunIsRefusedWithTheReason(t *testing.T) {
	refused := func(path, why string) {
		t.Helper()
		if err := CheckExecutable(path); !errors.Is(err, ErrExecutable) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want: %s", path, err, why)
		}
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Start(Config{Executable: path, Measurement: sha256.Sum256(image)})
		if err == nil {
			p.Kill()
			p.Wait()
		}
		if !errors.Is(err, ErrExecutable) || !strings.Contains(err.Error(), why) {
			t.Errorf("the start of %s returns %v; want an error that says: %s", path, err, why)
		}
	}
	for name, why := range map[string]string{
		"dynamic": "needs the loader /lib", "library": "needs shared libraries", "object": "link it",
		"stack": "an executable stack",
	} {
		t.Run(name, func(t *testing.T) { refused(build(t, name), why) })
	}
	image, err := os.ReadFile(build(t, "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	const class, machine, entry, count, programs = 4, 18, 54, 56, 64 // offsets in an ELF file
	const load, flags = 1, 4                                         // type of a program header, and offset of its flags
	for why, change := range map[string]func(p []byte) []byte{
		"not an ELF file (bad magic": func([]byte) []byte { return []byte("#!/bin/sh\n: a script of some length\n") },
		"not an ELF file (EOF":       func([]byte) []byte { return nil },
		"another machine (EM_RISCV":  func(p []byte) []byte { p[machine] = 243; return p },
		"can be written and executed": func(p []byte) []byte {
			h := p[programs:]
			for h[0] != load {
				h = h[56:]
			}
			h[flags] = 7
			return p
		},
		"not an ELF file (":                 func(p []byte) []byte { p[class] = 9; return p },
		"another machine (ELFCLASS32":       func(p []byte) []byte { p[class] = 1; return p },
		"program headers are not those of ": func(p []byte) []byte { p[count+1] = 0xff; return p },
		"not those of an executable":        func(p []byte) []byte { p[entry] = 57; return p },
	} {
		path := filepath.Join(t.TempDir(), "task")
		if err := os.WriteFile(path, change(append([]byte(nil), image...)), 0o755); err != nil {
			t.Fatal(err)
		}
		refused(path, why)
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, image, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, MaxExecutable+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Executable: large}); !errors.Is(err, ErrExecutable) || CheckExecutable(large) == nil {
		t.Errorf("an executable that is too large: %v", err)
	}
	if err := CheckExecutable(t.TempDir()); !errors.Is(err, ErrExecutable) {
		t.Errorf("a directory as executable: %v", err)
	}
	for _, name := range []string{"hostile", "glibc", "musl", "cpp", "rust"} {
		t.Run(name, func(t *testing.T) {
			if err := CheckExecutable(build(t, name)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSectionsOfAnExecutableAreNotRead: the kernel does not read them, and an attacker could
// compress them, or let a million of them share one long name.
func TestSectionsOfAnExecutableAreNotRead(t *testing.T) {
	image, err := os.ReadFile(build(t, "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	const sections = 40 // offset of their place in an ELF file
	binary.LittleEndian.PutUint64(image[sections:], math.MaxUint64)
	if err := checkExecutable(bytes.NewReader(image)); err != nil {
		t.Errorf("an executable whose sections lie nowhere: %v", err)
	}
	whole := make([]byte, 64)
	if _, err := (programsOf{bytes.NewReader(image)}).ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	for at := range whole { // read in two parts, the header is the same
		parts := make([]byte, 64)
		_, err1 := (programsOf{bytes.NewReader(image)}).ReadAt(parts[:at], 0)
		_, err2 := (programsOf{bytes.NewReader(image)}).ReadAt(parts[at:], int64(at))
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(parts, whole) {
			t.Errorf("a header read in parts of %d and %d bytes differs (%v)", at, 64-at, err)
		}
	}
}

// FuzzExecutable: no file makes the check panic, or read more than it holds.
func FuzzExecutable(f *testing.F) {
	f.Add([]byte("\x7fELF"))
	header := make([]byte, 64+2*56)
	copy(header, "\x7fELF\x02\x01\x01")
	copy(header[16:], []byte{2, 0, 62, 0, 1})
	header[32], header[54], header[56] = 64, 56, 2
	f.Add(header)
	f.Fuzz(func(t *testing.T, image []byte) {
		if err := checkExecutable(bytes.NewReader(image)); err != nil && !errors.Is(err, ErrExecutable) {
			t.Errorf("%v is not ErrExecutable", err)
		}
	})
}

package sandbox

import (
	"crypto/sha256"
	"errors"
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
		"dynamic": "needs the loader /lib", "library": "needs the libraries libc.so", "object": "link it",
		"stack": "an executable stack",
	} {
		t.Run(name, func(t *testing.T) { refused(build(t, name), why) })
	}
	image, err := os.ReadFile(build(t, "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	const class, machine, programs = 4, 18, 64 // offsets in an ELF file
	const load, flags = 1, 4                   // type of a program header, and offset of its flags
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
		"not an ELF file (": func(p []byte) []byte { p[class] = 9; return p },
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
	if err := os.Truncate(large, maxImage+1); err != nil {
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

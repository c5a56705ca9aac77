package skeleton

import (
	"io/fs"
	"path"
	"regexp"
	"strings"

	"motte"
	"motte/sdk/c"
)

// kits copy the kit for each language.
var kits = map[string]func() ([]file, error){"go": goKit, "c": cKit, "rust": rustKit, "wasm": wasmKit}

// goPackages are the packages of the kit for Go. They import no others, and the standard library.
var goPackages = map[string]fs.FS{
	"core/codec": motte.Source, "core/identity": motte.Source, "core/model": motte.Source, "core/taskwire": motte.Source,
	"sdk": motte.Kits, "sdk/ijson": motte.Kits, "sdk/pointer": motte.Kits, "sdk/sdktest": motte.Kits,
}

// goKit returns a module that has the packages for a Task.
func goKit() ([]file, error) {
	line, err := goVersion()
	if err != nil {
		return nil, err
	}
	files := []file{{"motte/go.mod", []byte("module motte\n\n" + line + "\n")}}
	for dir, source := range goPackages {
		list, err := fs.ReadDir(source, dir)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if e.IsDir() || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			p := path.Join(dir, e.Name())
			text, err := fs.ReadFile(source, p)
			if err != nil {
				return nil, err
			}
			files = append(files, file{path.Join("motte", p), text})
		}
	}
	return files, nil
}

var goLine = regexp.MustCompile(`(?m)^go [0-9.]+$`)

// goVersion returns the line of Motte's own go.mod that names the version of the language.
func goVersion() (string, error) {
	text, err := motte.Kits.ReadFile("go.mod")
	if err != nil {
		return "", err
	}
	return goLine.FindString(string(text)), nil
}

func cKit() ([]file, error) { return []file{{"motte.h", []byte(c.Kit)}}, nil }

func wasmKit() ([]file, error) {
	text, err := motte.Kits.ReadFile("sdk/wasm/motte_wasm.h")
	return []file{{"motte_wasm.h", text}}, err
}

// rustKit returns the crate, without its example, and how cargo builds a Task with it.
func rustKit() ([]file, error) {
	manifest, err := motte.Kits.ReadFile("sdk/rust/Cargo.toml")
	if err != nil {
		return nil, err
	}
	config, err := motte.Kits.ReadFile("sdk/rust/.cargo/config.toml")
	if err != nil {
		return nil, err
	}
	pkg, _, _ := strings.Cut(string(manifest), "\n[") // the sections after the first are of the workspace
	files := []file{{"motte/Cargo.toml", []byte(pkg)}, {".cargo/config.toml", config}}
	sources, err := fs.Glob(motte.Kits, "sdk/rust/src/*.rs")
	if err != nil {
		return nil, err
	}
	for _, p := range sources {
		text, err := motte.Kits.ReadFile(p)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"motte/src/" + path.Base(p), text})
	}
	return files, nil
}

package realdata

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Package is an object of [Packages]. A package can have several versions. Members of which the
// index says nothing are left out.
type Package struct {
	Package       string   `json:"package"`
	Version       string   `json:"version"`
	Architecture  string   `json:"architecture"`
	Source        string   `json:"source,omitempty"`
	Section       string   `json:"section,omitempty"`
	Priority      string   `json:"priority,omitempty"`
	Maintainer    string   `json:"maintainer,omitempty"`
	Homepage      string   `json:"homepage,omitempty"`
	InstalledSize int64    `json:"installed_size,omitempty"` // KiB
	Size          int64    `json:"size,omitempty"`           // bytes
	Depends       string   `json:"depends,omitempty"`
	Tags          []string `json:"tags,omitempty"`
	Description   string   `json:"description,omitempty"` // the short line, then the long text
}

// readPackages reads an index of packages, and their long descriptions.
func readPackages(index, translations string) ([][]byte, error) {
	long, err := readDescriptions(translations)
	if err != nil {
		return nil, err
	}
	var all []Package
	err = records(index, func(fields map[string]string) error {
		p, err := newPackage(fields)
		if text, ok := long[fields["Description-md5"]]; ok {
			p.Description = text
		}
		all = append(all, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, comparePackages)
	all = slices.CompactFunc(all, func(a, b Package) bool { return comparePackages(a, b) == 0 })
	objects := make([][]byte, len(all))
	for i, p := range all {
		objects[i], err = encode(p)
		if err != nil {
			return nil, err
		}
	}
	return objects, nil
}

func comparePackages(a, b Package) int {
	return cmp.Or(
		cmp.Compare(a.Package, b.Package),
		cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Architecture, b.Architecture))
}

func newPackage(fields map[string]string) (Package, error) {
	p := Package{
		Package:      fields["Package"],
		Version:      fields["Version"],
		Architecture: fields["Architecture"],
		Source:       fields["Source"],
		Section:      fields["Section"],
		Priority:     fields["Priority"],
		Maintainer:   fields["Maintainer"],
		Homepage:     fields["Homepage"],
		Depends:      fields["Depends"],
		Description:  plain(fields["Description"]),
	}
	if tags := fields["Tag"]; tags != "" {
		for tag := range strings.SplitSeq(tags, ",") {
			p.Tags = append(p.Tags, strings.TrimSpace(tag))
		}
	}
	for name, to := range map[string]*int64{"Installed-Size": &p.InstalledSize, "Size": &p.Size} {
		text, ok := fields[name]
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return p, fmt.Errorf("package %s: %s: %w", p.Package, name, err)
		}
		*to = n
	}
	return p, nil
}

// readDescriptions returns the long descriptions by the hash that the index of packages gives.
func readDescriptions(file string) (map[string]string, error) {
	long := make(map[string]string)
	err := records(file, func(fields map[string]string) error {
		long[fields["Description-md5"]] = plain(fields["Description-en"])
		return nil
	})
	return long, err
}

// plain undoes the marks of a description: each further line begins with a space, and an empty
// line has a dot.
func plain(text string) string {
	lines := strings.Split(text, "\n")
	for i := 1; i < len(lines); i++ {
		line := strings.TrimPrefix(lines[i], " ")
		if line == "." {
			line = ""
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// records calls f with the fields of each record of a control file: records are separated by empty
// lines, and a field is continued by lines that begin with a space. The map is valid during the
// call.
func records(file string, f func(map[string]string) error) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fields := make(map[string]string)
	var last string
	for line := range bytes.Lines(append(text, "\n\n"...)) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		switch {
		case len(line) == 0:
			if len(fields) == 0 {
				continue
			}
			if err := f(fields); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			clear(fields)
		case line[0] == ' ' || line[0] == '\t':
			fields[last] += "\n" + string(line)
		case !ok:
			return fmt.Errorf("%s: a line has no field: %.60q", file, line)
		default:
			last = string(name)
			fields[last] = strings.TrimSpace(string(value))
		}
	}
	return nil
}

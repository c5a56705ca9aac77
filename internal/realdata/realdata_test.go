package realdata

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestPackagesAreComplete(t *testing.T) {
	all := Packages(t)
	if len(all) < 50_000 {
		t.Errorf("%d packages, want at least 50,000", len(all))
	}
	seen := make(map[string]bool)
	var long, tagged int
	for _, object := range all {
		var p Package
		if err := json.Unmarshal(object, &p); err != nil {
			t.Fatal(err)
		}
		if p.Package == "" || p.Version == "" || p.Size == 0 || p.Description == "" {
			t.Fatalf("a package lacks a name, version, size or description: %s", object)
		}
		seen[p.Package] = true
		if bytes.Contains([]byte(p.Description), []byte("\n")) {
			long++
		}
		if len(p.Tags) > 0 {
			tagged++
		}
	}
	if !seen["bash"] || !seen["libc6"] || !seen["zsh"] {
		t.Error("bash, libc6 or zsh is missing")
	}
	if long < len(all)/2 || tagged < len(all)/10 {
		t.Errorf("%d of %d packages have long descriptions, %d have tags", long, len(all), tagged)
	}
}

func TestCitiesAreComplete(t *testing.T) {
	all := Cities(t)
	if len(all) < 150_000 {
		t.Errorf("%d cities, want at least 150,000", len(all))
	}
	for _, object := range all {
		var c City
		if err := json.Unmarshal(object, &c); err != nil {
			t.Fatal(err)
		}
		lat, err := c.Lat.Float64()
		lng, err2 := c.Lng.Float64()
		if err != nil || err2 != nil || lat < -90 || lat > 90 || lng < -180 || lng > 180 || c.Name == "" {
			t.Fatalf("no city: %s", object)
		}
	}
}

func TestRecordsOfAControlFile(t *testing.T) {
	index := filepath.Join(t.TempDir(), "index")
	text := "Package: b\nVersion: 1\nTag: x::y,\n z::w\nDescription: short\nDescription-md5: m\nSize: 7\n\n" +
		"Package: a\nVersion: 2\nDescription: only\n\n" +
		"Package: b\nVersion: 1\nDescription: a copy\n"
	if err := os.WriteFile(index, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	descriptions := filepath.Join(t.TempDir(), "descriptions")
	text = "Package: b\nDescription-md5: m\nDescription-en: short\n long\n .\n  list\n"
	if err := os.WriteFile(descriptions, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readPackages(index, descriptions)
	want := [][]byte{
		[]byte(`{"package":"a","version":"2","architecture":"","description":"only"}`),
		[]byte(`{"package":"b","version":"1","architecture":"","size":7,"tags":["x::y","z::w"],"description":"short\nlong\n\n list"}`),
	}
	if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
}

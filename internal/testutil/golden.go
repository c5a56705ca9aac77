package testutil

import (
	"encoding/hex"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Updating reports whether tests must write their golden files: the flag -update was given.
func Updating() bool { return *update }

// Golden compares bytes with a file: a comment line, then the bytes in hexadecimal, 32 on a
// line. With the flag -update it writes the file instead.
func Golden(t testing.TB, path, comment string, got []byte) {
	t.Helper()
	text := "# " + comment + "\n"
	for line := range slices.Chunk(got, 32) {
		text += hex.EncodeToString(line) + "\n"
	}
	if *update {
		Must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	Must(t, err)
	if string(want) != text {
		t.Errorf("the bytes differ from the golden file %s:\n got %s\nwant %s", path, text, want)
	}
}

// ReadGolden returns the bytes of a file that [Golden] wrote.
func ReadGolden(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	Must(t, err)
	_, digits, _ := strings.Cut(string(text), "\n")
	p, err := hex.DecodeString(strings.ReplaceAll(digits, "\n", ""))
	Must(t, err)
	return p
}

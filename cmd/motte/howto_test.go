package main

import (
	"os"
	"strings"
	"testing"
)

// TestTheHowToIsRun: each command of the page on imports stands in the script that runs it.
func TestTheHowToIsRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/import-and-export.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/script/import-howto.txtar")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for line := range strings.Lines(string(page)) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		if !ok {
			continue
		}
		commands++
		if !strings.Contains(string(script), command+"\n") && !strings.Contains(string(script), "'"+command+"'\n") {
			t.Errorf("no test runs %q", command)
		}
	}
	if commands < 9 {
		t.Errorf("the page has %d commands: is it read?", commands)
	}
}

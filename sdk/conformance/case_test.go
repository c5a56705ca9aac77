package conformance

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"motte/client"
)

// TestContentsAreRead: each way to write an input gives its bytes.
func TestContentsAreRead(t *testing.T) {
	files := fstest.MapFS{"image": {Data: []byte{0xff, 0xd8}}}
	c, err := ParseCase([]byte(`{"inputs": {"1": "a\u00e9", "2": {"age": [7,  8]}, "3": 7, "4": {"$base64": "AP8="}, "5": {"$file": "image"}, "6": "", "7": {"$repeat": ["ab", 3]}},
		"queries": [{"predicate": "p", "finds": ["1"]}]}`), files)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"aé", `{"age": [7,  8]}`, "7", "\x00\xff", "\xff\xd8", "", "ababab"} {
		if got := string(c.samples[i].input); got != want {
			t.Errorf("input %s is %q, want %q", c.samples[i].name, got, want)
		}
	}
}

// TestRanksAreRead: an inner list has one rank, and without an order there is only one.
func TestRanksAreRead(t *testing.T) {
	for ordered, want := range map[string]int{"true": 2, "false": 0} {
		c, err := ParseCase([]byte(`{"ordered": `+ordered+`, "inputs": {"a": "", "b": "", "c": "", "d": "", "e": ""},
			"queries": [{"predicate": "p", "finds": ["a", ["b", "c"], "d"]}]}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		r := c.queries[0].ranks
		if r["d"] != want || r["b"] != r["c"] || len(r) != 4 {
			t.Errorf("ordered %s: the ranks are %v", ordered, r)
		}
	}
}

// TestWrongCasesAreRefused, with the reason.
func TestWrongCasesAreRefused(t *testing.T) {
	const query = `"queries": [{"predicate": "p", "finds": ["a"]}]`
	for text, why := range map[string]string{
		`{`:                                               "unexpected EOF",
		`{} {}`:                                           "text follows",
		`{"input": {}}`:                                   `unknown field "input"; docs/reference/case-file.md lists the members`,
		`{"type": "int32"}`:                               `unknown data type "int32": any, bytes`,
		`{"refuses": {"types": ["x"]}}`:                   `unknown data type "x"`,
		`{"inputs": {"a": ""}, ` + query + `}`:            "finds some of the inputs",
		`{"inputs": {"b": ""}, ` + query + `}`:            `finds "a", which is the name of no input`,
		`{"queries": [{"finds": []}]}`:                    "query 1 has no predicate",
		`{"inputs": {"a": {"$file": "x"}}}`:               "no directory",
		`{"inputs": {"a": {"$base64": "?"}}}`:             "base64",
		`{"configuration": {"$base64": "", "$file": ""}}`: "has one member",
		`{"configuration": {"$repeat": ["a", -1]}}`:       "how many times",
		`{"configuration": {"$repeat": "a"}}`:             "how many times",
		`{"configuration": {"$file": null}}`:              "has one member",
		`{"inputs": {"a": ""}, "queries": [{"predicate": "p", "finds": ["a", ["a"]]}]}`: `finds "a" twice`,
		`{"inputs": {"a": ""}, "queries": [{"predicate": "p", "finds": [7]}]}`:          "names of inputs",
	} {
		if _, err := ParseCase([]byte(text), nil); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want: %s", text, err, why)
		}
	}
}

// TestTypesHaveTheirNames: a case file names data types as the command line does.
func TestTypesHaveTheirNames(t *testing.T) {
	for name, dataType := range typeNames {
		if got := client.TypeName(dataType); got != name {
			t.Errorf("type %d is called %q here, and %q elsewhere", dataType, name, got)
		}
	}
}

// TestSectionsExist: the page of the protocol has the sections that failures name.
func TestSectionsExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/task-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{sectionProcess, sectionFrames, sectionSequence, sectionName, sectionShelf, sectionDeadlines} {
		if !strings.Contains(string(page), "\n## "+section+"\n") {
			t.Errorf("the page has no section %q", section)
		}
	}
}

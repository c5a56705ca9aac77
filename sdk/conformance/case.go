package conformance

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"motte/core/model"
)

// Case says what a Task indexes: sample inputs, and which of them each predicate finds.
// docs/reference/case-file.md describes the file.
type Case struct {
	dataType      model.DataType
	ordered       bool
	configuration []byte
	samples       []sample
	queries       []question
	refused       refusals
}

// sample is an input with a name.
type sample struct {
	name  string
	input []byte
}

// question is a predicate, and the samples that it finds. Samples of one rank may come in any
// order; without an order of the Task there is one rank.
type question struct {
	predicate []byte
	ranks     map[string]int // by the name of a sample
}

// refusals are contents that the Task must refuse.
type refusals struct {
	types          []model.DataType
	configurations [][]byte
	inputs         [][]byte
	predicates     [][]byte
}

// caseFile is the JSON of a case.
type caseFile struct {
	Type          string             `json:"type"`
	Ordered       bool               `json:"ordered"`
	Configuration content            `json:"configuration"`
	Inputs        map[string]content `json:"inputs"`
	Queries       []queryFile        `json:"queries"`
	Refuses       struct {
		Types          []string  `json:"types"`
		Configurations []content `json:"configurations"`
		Inputs         []content `json:"inputs"`
		Predicates     []content `json:"predicates"`
	} `json:"refuses"`
}

type queryFile struct {
	Predicate *content `json:"predicate"`
	Finds     ranks    `json:"finds"`
}

// ranks are names of samples. Samples of one rank are a list in the list.
type ranks [][]string

// UnmarshalJSON implements json.Unmarshaler.
func (r *ranks) UnmarshalJSON(text []byte) error {
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, item := range list {
		var name string
		var names []string
		if json.Unmarshal(item, &name) == nil {
			names = []string{name}
		} else if err := json.Unmarshal(item, &names); err != nil {
			return errors.New("finds has names of inputs, and lists of names")
		}
		*r = append(*r, names)
	}
	return nil
}

// typeNames are the data types as a case file names them.
var typeNames = map[string]model.DataType{
	"any": model.TypeAny, "int64": model.TypeInt64, "float64": model.TypeFloat64, "string": model.TypeString,
	"text": model.TypeText, "time": model.TypeTime, "bytes": model.TypeBytes,
}

//go:embed cases/*.json
var builtIn embed.FS

// BuiltIn returns the case of a Task that comes with Motte, or of the examples: "exact".
func BuiltIn(name string) (*Case, error) {
	text, err := builtIn.ReadFile("cases/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("no case is called %q: there are %s", name, strings.Join(BuiltInNames(), ", "))
	}
	return ParseCase(text, nil)
}

// BuiltInNames lists the names of the cases that [BuiltIn] returns.
func BuiltInNames() (names []string) {
	list, _ := builtIn.ReadDir("cases") // an embedded directory can be read
	for _, e := range list {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// ReadCase reads a case file.
func ReadCase(path string) (*Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := ParseCase(text, os.DirFS(filepath.Dir(path)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseCase reads the text of a case file. The names of files in it are looked up in files.
func ParseCase(text []byte, files fs.FS) (*Case, error) {
	var f caseFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w; docs/reference/case-file.md lists the members", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text follows the JSON object")
	}
	if err := f.load(files); err != nil {
		return nil, err
	}
	return f.compile()
}

// load reads the contents that lie in files.
func (f *caseFile) load(files fs.FS) error {
	all := []*content{&f.Configuration}
	for i := range f.Queries {
		if f.Queries[i].Predicate == nil {
			return fmt.Errorf("query %d has no predicate", i+1)
		}
		all = append(all, f.Queries[i].Predicate)
	}
	for _, list := range [][]content{f.Refuses.Configurations, f.Refuses.Inputs, f.Refuses.Predicates} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	for _, c := range all {
		if err := c.load(files); err != nil {
			return err
		}
	}
	for name, c := range f.Inputs {
		if err := c.load(files); err != nil {
			return err
		}
		f.Inputs[name] = c
	}
	return nil
}

// compile checks a case, and turns it into the form that the checks use.
func (f *caseFile) compile() (*Case, error) {
	c := &Case{ordered: f.Ordered, configuration: f.Configuration.bytes}
	known := false
	if c.dataType, known = typeNames[f.Type]; !known && f.Type != "" {
		return nil, unknownType(f.Type)
	}
	for _, name := range f.Refuses.Types {
		t, known := typeNames[name]
		if !known {
			return nil, unknownType(name)
		}
		c.refused.types = append(c.refused.types, t)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Inputs)) {
		c.samples = append(c.samples, sample{name, f.Inputs[name].bytes})
	}
	for _, q := range f.Queries {
		compiled, err := q.compile(f)
		if err != nil {
			return nil, fmt.Errorf("predicate %q: %w", q.Predicate.bytes, err)
		}
		c.queries = append(c.queries, compiled)
	}
	c.refused.configurations = all(f.Refuses.Configurations)
	c.refused.inputs = all(f.Refuses.Inputs)
	c.refused.predicates = all(f.Refuses.Predicates)
	return c, c.tellsApart()
}

func unknownType(name string) error {
	return fmt.Errorf("unknown data type %q: %s", name, strings.Join(slices.Sorted(maps.Keys(typeNames)), ", "))
}

func all(list []content) (bytes [][]byte) {
	for _, c := range list {
		bytes = append(bytes, c.bytes)
	}
	return bytes
}

func (q *queryFile) compile(f *caseFile) (question, error) {
	c := question{predicate: q.Predicate.bytes, ranks: make(map[string]int)}
	for rank, names := range q.Finds {
		for _, name := range names {
			if _, ok := f.Inputs[name]; !ok {
				return c, fmt.Errorf("finds %q, which is the name of no input", name)
			}
			if _, twice := c.ranks[name]; twice {
				return c, fmt.Errorf("finds %q twice", name)
			}
			if !f.Ordered {
				rank = 0
			}
			c.ranks[name] = rank
		}
	}
	return c, nil
}

// tellsApart returns an error if no predicate of the case can show that the Task mixed up two
// inputs.
func (c *Case) tellsApart() error {
	for _, q := range c.queries {
		if n := len(q.ranks); n > 0 && n < len(c.samples) {
			return nil
		}
	}
	return errors.New("a predicate is needed that finds some of the inputs, and not all of them")
}

package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/host"
	"motte/host/sandbox"
	"motte/taskpkg/manifest"
)

// rowFlags holds the values of flags that change a row.
type rowFlags struct {
	file        string
	operations  string
	dataType    string
	ordered     bool
	maxInput    byteSize
	maxResults  uint32
	deadline    time.Duration
	memory      byteSize
	leakBudget  uint64
	indexBudget uint64
	shelf       byteSize
}

// apply sets the fields of the row whose flags were given.
func (r *rowFlags) apply(row *model.Row, given func(flag string) bool) (err error) {
	if given("operations") {
		if row.Operations, err = parseOperations(r.operations); err != nil {
			return usage("--operations: %v", err)
		}
	}
	if given("type") {
		if row.Type, err = client.ParseType(r.dataType); err != nil {
			return usage("--type: %v", err)
		}
	}
	if given("ordered") {
		row.Ordered = r.ordered
	}
	if given("max-input") {
		if r.maxInput < 1 || r.maxInput > model.MaxObject {
			return usage("--max-input must be from 1 to %s", size(model.MaxObject))
		}
		row.MaxInput = uint32(r.maxInput)
	}
	if given("max-results") {
		row.MaxResults = r.maxResults
	}
	if given("deadline") {
		if r.deadline < time.Millisecond || r.deadline > model.MaxDeadline*time.Millisecond {
			return usage("--deadline must be from 1ms to %v", model.MaxDeadline*time.Millisecond)
		}
		if r.deadline%time.Millisecond != 0 {
			return usage("--deadline must be in whole milliseconds")
		}
		row.Deadline = uint32(r.deadline / time.Millisecond)
	}
	if given("memory") {
		if r.memory < 1 {
			return usage("--memory must not be 0")
		}
		row.Memory = uint64(r.memory)
	}
	if given("leak-budget") {
		row.LeakBudget = r.leakBudget
	}
	if given("index-leak-budget") {
		row.IndexBudget = r.indexBudget
	}
	if given("shelf") {
		if r.shelf > model.MaxShelf {
			return usage("--shelf must be from 0 to %s", size(model.MaxShelf))
		}
		row.Shelf = uint64(r.shelf)
	}
	return nil
}

// measure checks and measures the executable, if there is one.
func (r *rowFlags) measure() (measurement [32]byte, err error) {
	if r.file == "" {
		return measurement, nil
	}
	if err := sandbox.CheckExecutable(r.file); err != nil {
		return measurement, err
	}
	return host.Measure(r.file)
}

func operationsText(bits uint8) string { return strings.Join(manifest.OperationNames(bits), ",") }

func parseOperations(s string) (bits uint8, err error) {
	for _, name := range strings.Split(s, ",") {
		bit, ok := manifest.Operation(name)
		if !ok {
			return 0, fmt.Errorf("unknown operation %q: search, count or delete", name)
		}
		bits |= bit
	}
	return bits, nil
}

// byteSize is a number of bytes as a flag: 4096, 64KiB, 16MiB, 2GiB.
type byteSize uint64

// String implements pflag.Value.
func (b *byteSize) String() string { return size(uint64(*b)) }

// Type implements pflag.Value.
func (b *byteSize) Type() string { return "size" }

var errSize = errors.New("a size is a whole number of bytes, KiB, MiB or GiB: 64MiB")

// units of a size. The last one, B, is a suffix of the others.
var units = []struct {
	name  string
	shift int
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"B", 0}}

// Set implements pflag.Value.
func (b *byteSize) Set(s string) error {
	shift := 0
	for _, unit := range units {
		if number, ok := strings.CutSuffix(s, unit.name); ok {
			s, shift = strings.TrimSuffix(number, " "), unit.shift
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return errSize
	}
	*b = byteSize(n << shift)
	return nil
}

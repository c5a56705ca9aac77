package tcb_test

import (
	"testing"

	"motte"
	"motte/internal/tcb"
)

func core(t *testing.T) *tcb.Code {
	t.Helper()
	code, err := tcb.Measure(motte.Source, tcb.Core)
	if err != nil || len(code.Functions) == 0 {
		t.Fatal(code, err)
	}
	return code
}

// TestTheCoreIsSmall limits the size of the trusted code, because reviewers must verify every
// token. Make the code smaller, or leave the addition out. A commit that raises the limit gives the
// reason in its message.
func TestTheCoreIsSmall(t *testing.T) {
	code := core(t)
	if n := code.Tokens(); n > tcb.MaxTokens {
		t.Errorf("core/ has %d tokens: %d more than the %d that it may have (MaxTokens): %v",
			n, n-tcb.MaxTokens, tcb.MaxTokens, code.Packages)
	}
}

func TestTheCoresFunctionsAreSimple(t *testing.T) {
	for _, f := range core(t).Functions {
		if f.Lines > tcb.MaxFunction {
			t.Errorf("%s: %s has %d lines; at most %d are allowed", f.File, f.Name, f.Lines, tcb.MaxFunction)
		}
		if f.Complexity > tcb.MaxComplexity {
			t.Errorf("%s: the complexity of %s is %d; at most %d is allowed", f.File, f.Name, f.Complexity, tcb.MaxComplexity)
		}
	}
}

func TestTheCoresLinesAreNarrow(t *testing.T) {
	for _, line := range core(t).Wide {
		t.Errorf("%s:%d has %d columns; at most %d are allowed", line.File, line.Number, line.Columns, tcb.MaxColumns)
	}
}

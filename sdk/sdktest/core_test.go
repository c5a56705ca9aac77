package sdktest_test

import "testing"

// TestExample: the example's test passes.
func TestExample(t *testing.T) { testExact(t) }

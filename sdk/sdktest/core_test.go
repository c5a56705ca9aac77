package sdktest_test

import "testing"

// TestExample runs the test of the example.
func TestExample(t *testing.T) { testExact(t) }

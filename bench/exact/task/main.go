// Command task is the Task of package exact.
package main

import (
	"motte/bench/exact"
	"motte/sdk"
)

func main() { sdk.Serve(exact.New()) }

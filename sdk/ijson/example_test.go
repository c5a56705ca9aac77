package ijson_test

import (
	"errors"
	"fmt"

	"motte/sdk/ijson"
)

func ExampleCheck() {
	for _, text := range []string{`{"weight": 12}`, `{"weight": 12, "weight": 13}`, `{"weight": `} {
		err := ijson.Check([]byte(text))
		fmt.Println(err == nil, errors.Is(err, ijson.ErrAmbiguous), errors.Is(err, ijson.ErrSyntax))
	}
	// Output:
	// true false false
	// false true false
	// false false true
}

func ExampleDecode() {
	var options struct {
		Path string `json:"path"`
	}
	fmt.Println(ijson.Decode([]byte(`{"path": "/weight"}`), &options), options.Path)
	fmt.Println(ijson.Decode([]byte(`{"pth": "/weight"}`), &options) == nil) // a misspelt member is an error
	// Output:
	// <nil> /weight
	// false
}

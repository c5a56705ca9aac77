package pointer_test

import (
	"fmt"

	"motte/sdk/pointer"
)

func ExamplePointer_Find() {
	p, err := pointer.Parse("/bolts/1/weight")
	if err != nil {
		fmt.Println(err)
		return
	}
	object := []byte(`{"bolts": [{"weight": 12}, {"weight": 25.0}]}`)
	value, ok, err := p.Find(object)
	fmt.Printf("%s %v %v\n", value, ok, err) // with all its digits

	_, ok, err = p.Find([]byte(`{"bolts": []}`))
	fmt.Println(ok, err)
	// Output:
	// 25.0 true <nil>
	// false <nil>
}

func ExampleElements() {
	sum := 0
	array := pointer.Elements([]byte(`["motte", "bailey"]`), func(element []byte) { sum += len(element) })
	fmt.Println(array, sum) // the quotes are part of an element
	// Output: true 15
}

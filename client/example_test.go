package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"motte/client"
)

// The examples need a server, so they are compiled and not run;
// docs/how-to/use-the-go-client.md walks through them.

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	p, err := client.ReadProfile("admin.profile")
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Dial(ctx, p)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	if _, err := c.Put(ctx, "parts", []byte(`{"name":"M6 bolt","weight":12}`), client.Name("bolt-m6")); err != nil {
		log.Fatal(err)
	}
	q := client.Query{Collection: "parts", Index: "by_weight", Predicate: ">= 10 and < 20"}
	for o, err := range c.Search(ctx, q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", o.Name, o.Data)
	}
}

// Change an object that other clients may change, too. Read it, and put the changed object
// only if the stored one is still the same. Otherwise begin again.
func ExampleIfIdentity() {
	var c *client.Client // from Dial
	ctx := context.Background()
	for {
		o, err := c.Get(ctx, "parts", "bolt-m6")
		if err != nil {
			log.Fatal(err)
		}
		changed := append(o.Data, '\n')
		_, err = c.Put(ctx, "parts", changed, client.Name("bolt-m6"), client.IfIdentity(o.Identity))
		if errors.Is(err, client.ErrPreconditionFailed) || errors.Is(err, client.ErrNotFound) {
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		return
	}
}

// Compare an error of the Core with the sentinels of the package.
func ExampleClient_Get() {
	var c *client.Client // from Dial
	o, err := c.Get(context.Background(), "parts", "bolt-m6")
	switch {
	case errors.Is(err, client.ErrNotFound):
		fmt.Println("there is no such part")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Printf("%s\n", o.Data)
	}
}

// Read the first ten objects of an ordered index. Leaving the loop ends the search.
func ExampleClient_Search() {
	var c *client.Client // from Dial
	q := client.Query{Collection: "parts", Index: "by_weight", Predicate: "< 100", Limit: 10}
	for o, err := range c.Search(context.Background(), q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", o.Name, o.Data)
	}
}

// Show the parts page by page. A program that serves pages gives Next to its user, and gets it
// back with the request for the next page.
func ExampleClient_SearchPage() {
	var c *client.Client // from Dial
	q := client.Query{Collection: "parts", Index: "by_weight", Predicate: "all", Limit: 20}
	for number := 1; ; number++ {
		fmt.Println("page", number)
		page := c.SearchPage(q)
		for o, err := range page.Objects(context.Background()) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%s: %s\n", o.Name, o.Data)
		}
		if len(page.Next) == 0 {
			return
		}
		q.After = page.Next
	}
}

// Read all parts that match, even if the index may not give all of them in one answer.
func ExampleClient_SearchAll() {
	var c *client.Client // from Dial
	q := client.Query{Collection: "parts", Index: "by_weight", Predicate: ">= 10"}
	for o, err := range c.SearchAll(context.Background(), q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", o.Name, o.Data)
	}
}

// Ask two indexes at once: the ten best matches of a text among the parts of a range of weights,
// without those in stock.
func ExampleAnd() {
	var c *client.Client // from Dial
	q := client.Query{
		Collection: "parts",
		Where: client.And(
			client.Leaf("by_weight", ">= 10 and < 20"),
			client.Leaf("about", "stainless steel"),
			client.Not(client.Leaf("by_stock", "> 0")),
		),
		OrderBy: "about",
		Limit:   10,
	}
	for o, err := range c.Search(context.Background(), q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", o.Name, o.Data)
	}
}

// Make several changes together, or none of them.
func ExampleClient_PutBatch() {
	var c *client.Client // from Dial
	var b client.Batch
	b.Put([]byte(`{"name":"M8 bolt","weight":25}`), client.Name("bolt-m8"), client.IfAbsent())
	b.Delete("bolt-m6")
	results, err := c.PutBatch(context.Background(), "parts", &b)
	if err != nil {
		log.Fatal(err) // nothing was changed
	}
	fmt.Printf("%x is new, %x is gone\n", results[0].Identity, results[1].Identity)
}

// Give an index its input beside the object, which the index does not see. Use this for
// objects that are not JSON, or that the client has encrypted.
func ExampleAttribute() {
	var c *client.Client // from Dial
	ctx := context.Background()
	err := c.CreateIndex(ctx, "parts", "drawn", client.Index{Task: "ordered", Attribute: true, Ordered: true,
		Config: []byte(`{"type":"time"}`)})
	if err != nil {
		log.Fatal(err)
	}
	drawing := []byte{0x50, 0x4e, 0x47}
	r, err := c.Put(ctx, "parts", drawing, client.Attribute("drawn", []byte("2024-05-01T10:00:00Z")))
	if err != nil {
		log.Fatal(err)
	}
	if r.NotIndexed {
		log.Print("stored, but an index did not take its input")
	}
}

// Get many objects at once, by name. The last element names those that do not exist.
func ExampleClient_GetAll() {
	var c *client.Client // from Dial
	ctx := context.Background()
	for o, err := range c.GetAll(ctx, "parts", "bolt-m6", "nut-m6", "washer-m6") {
		var missing *client.MissingError
		switch {
		case errors.As(err, &missing):
			for _, m := range missing.Objects {
				fmt.Printf("%s: %v\n", m.Name, m.Err)
			}
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Printf("%s: %d bytes\n", o.Name, len(o.Data))
		}
	}
}

// Try again while an index is being built, or is started again after a quarantine.
func ExampleTemporary() {
	var c *client.Client // from Dial
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	q := client.Query{Collection: "parts", Index: "by_weight", Predicate: "> 1000"}
	for {
		found, err := c.Count(ctx, q)
		if client.Temporary(err) {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(found.Count, "parts are heavy")
		return
	}
}

package mottetest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"motte/client"
	"motte/core/model"
	"motte/mottetest"
)

// A server, its administrator, and one object. The server needs the executables that
// "make build" makes; a test takes its directory from t.TempDir, and its context from
// t.Context.
func ExampleStart() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, err := mottetest.Start(dir, executables())
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()

	ctx := context.Background()
	c, err := server.Admin(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.CreateCollection(ctx, "parts"); err != nil {
		log.Fatal(err)
	}
	if _, err := c.Put(ctx, "parts", []byte(`{"name":"M6 bolt","weight":12}`), client.Name("bolt-m6")); err != nil {
		log.Fatal(err)
	}
	o, err := c.Get(ctx, "parts", "bolt-m6")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", o.Data)
	// Output: {"name":"M6 bolt","weight":12}
}

// A principal of its own, who may read what others put, and may not put anything.
func ExampleServer_As() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, err := mottetest.Start(dir, executables())
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()

	ctx := context.Background()
	admin, err := server.Admin(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer admin.Close()
	key, reader, err := mottetest.NewPrincipal(ctx, admin, "reader")
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(
		admin.CreateCollection(ctx, "parts"),
		admin.Grant(ctx, "parts", reader, model.RightRead),
	); err != nil {
		log.Fatal(err)
	}

	c, err := server.As(ctx, key)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Put(ctx, "parts", []byte("{}"))
	fmt.Println(errors.Is(err, client.ErrDenied))
	// Output: true
}

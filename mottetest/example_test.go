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

// Start a server, connect as its administrator, and store one object. The server needs the
// executables of "make build". A test uses t.TempDir and t.Context.
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

// Connect as a principal that may read the objects of others, and may not put objects.
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

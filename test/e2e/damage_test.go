package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"motte/client"
	"motte/core/model"
	"motte/internal/testutil"
)

// TestDamageWhileServingCostsOneObject changes a byte on the disk while the Core runs. Only the
// object of that record must be lost, and an alert must name the place.
func TestDamageWhileServingCostsOneObject(t *testing.T) {
	dir := t.TempDir()
	_, c := twenty(t, dir)
	ctx := t.Context()
	path := filepath.Join(dir, "00000001.seg")
	data, err := os.ReadFile(path)
	testutil.Must(t, err)
	at := len(bytes.TrimRight(data, "\x00")) - 5000 // among the objects
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	testutil.Must(t, err)
	_, err = f.WriteAt([]byte{data[at] ^ 1}, int64(at))
	testutil.Must(t, errors.Join(err, f.Close()))

	damaged := 0
	for range 2 { // the second GET fails, too, and raises no second alert
		for i := range 20 {
			o, err := c.Get(ctx, "c", fmt.Sprint(i))
			switch {
			case errors.Is(err, client.ErrDamaged):
				damaged++
			case err != nil || !bytes.Equal(o.Data, bytes.Repeat([]byte{byte(i)}, 500)):
				t.Errorf("object %d: %v", i, err)
			}
		}
	}
	if damaged != 2 {
		t.Errorf("%d GETs say that the object is damaged; want 2", damaged)
	}
	// A LIST returns all other objects, and then an error that names the missing one.
	shown := 0
	for _, err := range c.List(ctx, "c") {
		var missing *client.MissingError
		if shown++; err == nil {
			continue
		}
		if shown--; shown != 19 || !errors.As(err, &missing) || missing.Count != 1 || !errors.Is(err, client.ErrDamaged) {
			t.Errorf("a LIST returns %d objects, and ends with %v; want all others, and an error about the damaged object", shown, err)
		}
	}
	testutil.Eventually(t, "alert", func() error {
		alerts, err := c.Alerts(ctx)
		if err != nil || len(alerts) != 1 {
			return fmt.Errorf("%d alerts, %v", len(alerts), err)
		}
		if a := alerts[0]; a.Reason != model.ReasonDamagedRecord || a.Segment != 1 || int(a.Offset) > at || a.Collection != "c" {
			t.Fatalf("%+v", a)
		}
		return nil
	})
}

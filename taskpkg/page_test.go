package taskpkg

import (
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"motte/client/frames"
	"motte/core/model"
	"motte/internal/testutil"
	"motte/taskpkg/manifest"
)

// TestTheReferenceIsComplete: docs/reference/task-package.md has each member of manifest and trust
// file, each media type, and a statement as it is signed.
func TestTheReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/task-package.md")
	testutil.Must(t, err)
	page := string(text)
	for _, of := range []reflect.Type{reflect.TypeFor[manifest.Text](), reflect.TypeFor[manifest.Row](), reflect.TypeFor[trustText](), reflect.TypeFor[publisherText]()} {
		for i := range of.NumField() {
			member := of.Field(i).Tag.Get("json")
			if !of.Field(i).Anonymous && !strings.Contains(page, "\n| `"+member+"` |") {
				t.Errorf("the page does not have the member %q", member)
			}
		}
	}
	for _, kind := range []string{ArtefactType, MediaTypeManifest, MediaTypeExecutable, MediaTypeSignature} {
		if !strings.Contains(page, "`"+kind+"`") {
			t.Errorf("the page does not have the type %s", kind)
		}
	}
	digest, err := hex.DecodeString("4e14048db2802c07b15a8c9324d5e7cd1e5f9d4682bfe9b6c8ebdcedba6473b4")
	testutil.Must(t, err)
	row := model.Row{Measurement: [32]byte(digest), Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete, Type: model.TypeText,
		MaxInput: 1 << 20, MaxResults: 1000, Deadline: 2000, Memory: 512 << 20}
	if statement := "\n```text\n" + Statement("substring", &row) + "```\n"; !strings.Contains(page, statement) {
		t.Errorf("the page does not have the statement%s", statement)
	}
}

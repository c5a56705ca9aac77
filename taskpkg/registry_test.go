package taskpkg

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"motte/host/sandbox"
	"motte/internal/fakeregistry"
	"motte/internal/testutil"
	"motte/taskpkg/manifest"
)

// registryOf returns a registry with the signed package "near", and its source by a tag.
func registryOf(t *testing.T, key *Key) (r *fakeregistry.Registry, source string) {
	t.Helper()
	r = fakeregistry.New()
	t.Cleanup(r.Close)
	dir := lay(t, "near")
	sign(t, dir, key)
	source = Scheme + r.Address + "/tasks/near:v1"
	pinned, err := open(t, dir).Push(context.Background(), source, Access{})
	testutil.Must(t, err)
	if digest, _ := r.Manifest("tasks/near", "v1"); pinned != Scheme+r.Address+"/tasks/near@"+digest {
		t.Fatalf("pushed as %s, and the registry has %s", pinned, digest)
	}
	return r, source
}

func TestAPackageGoesThroughARegistry(t *testing.T) {
	key := newKey(t, "acme")
	r, source := registryOf(t, key)
	digest, _ := r.Manifest("tasks/near", "v1")
	pinned := Scheme + r.Address + "/tasks/near@" + digest
	for _, source := range []string{source, pinned} {
		p := open(t, source)
		if p.Source != pinned || p.Name != "near" || p.Size != int64(len(image("near"))) {
			t.Errorf("%s is opened as %+v", source, p)
		}
		if v, err := trust(t, "near", key).Check(p); err != nil || !v.Required {
			t.Errorf("%s: %+v, %v", source, v, err)
		}
	}
	if _, err := open(t, source).Push(context.Background(), pinned, Access{}); err == nil {
		t.Error("a package is pushed to a digest")
	}
	again, err := open(t, source).Push(context.Background(), Scheme+r.Address+"/tasks/near:v2", Access{})
	if err != nil || again != pinned {
		t.Errorf("the same package is pushed as %s (%v), want %s", again, err, pinned)
	}
}

// TestATagThatMovesChangesNothing: a package that was opened stays what was shown.
func TestATagThatMovesChangesNothing(t *testing.T) {
	r, source := registryOf(t, newKey(t, "acme"))
	p, to := open(t, source), t.TempDir()
	other := lay(t, "near")
	testutil.Must(t, os.WriteFile(filepath.Join(other, Prefix+"near"), image("another"), 0o755))
	moved, err := open(t, other).Push(context.Background(), source, Access{})
	testutil.Must(t, err)
	if moved == p.Source || open(t, source).Source != moved {
		t.Fatalf("the tag did not move from %s to %s", p.Source, moved)
	}
	before := len(r.Requests())
	path, err := p.Copy(to)
	testutil.Must(t, err)
	if got, err := os.ReadFile(path); err != nil || string(got) != string(image("near")) {
		t.Errorf("after the tag moved, another executable is installed (%v)", err)
	}
	if after := len(r.Requests()); after != before {
		t.Errorf("the installation asked the registry again: %v", r.Requests()[before:])
	}
}

// TestOnlyTheTagIsAskedByName: every other request names a digest.
func TestOnlyTheTagIsAskedByName(t *testing.T) {
	r, source := registryOf(t, newKey(t, "acme"))
	before := len(r.Requests())
	open(t, source)
	for i, request := range r.Requests()[before:] {
		byTag := strings.HasSuffix(request, "/manifests/v1")
		if byTag != (i == 0) || !byTag && !strings.Contains(request, "/sha256:") {
			t.Errorf("request %d is %s", i, request)
		}
	}
}

// TestHostileArtefactsAreRefused: each lie of a registry has its error, and none leaves a file.
func TestHostileArtefactsAreRefused(t *testing.T) {
	layer := func(m *ocispec.Manifest, mediaType string) *ocispec.Descriptor {
		for i := range m.Layers {
			if m.Layers[i].MediaType == mediaType {
				return &m.Layers[i]
			}
		}
		t.Fatalf("there is no layer %s", mediaType)
		return nil
	}
	otherBlob := func(mediaType string, content []byte) func(r *fakeregistry.Registry, m *ocispec.Manifest) {
		return func(r *fakeregistry.Registry, m *ocispec.Manifest) {
			r.PutBlob(layer(m, mediaType).Digest.String(), content)
		}
	}
	sameSize := image("far.") // as long as image("near")
	for name, c := range map[string]struct {
		change func(r *fakeregistry.Registry, m *ocispec.Manifest)
		why    string
	}{
		"another executable under the digest": {otherBlob(MediaTypeExecutable, sameSize), "mismatched digest"},
		"a longer executable":                 {otherBlob(MediaTypeExecutable, image("near, and more")), "mismatch Content-Length"},
		"a shorter executable":                {otherBlob(MediaTypeExecutable, image("n")), "mismatch Content-Length"},
		"another manifest under the digest":   {otherBlob(MediaTypeManifest, []byte(manifestOf("naer"))), "mismatched digest"},
		"another signature under the digest":  {otherBlob(MediaTypeSignature, []byte("x")), "the signature: "},
		"an executable that is missing":       {otherBlob(MediaTypeExecutable, nil), "mismatch"},
		"an executable that is too large": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeExecutable).Size = sandbox.MaxExecutable + 1
		}, "more than 1073741824"},
		"a manifest that is too large": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeManifest).Size = manifest.MaxSize + 1
		}, "more than 16384"},
		"a signature that is too large": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeSignature).Size = 1 << 62
		}, "more than 16384"},
		"a negative size": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeManifest).Size = -1
		}, "more than 16384"},
		"another size": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeExecutable).Size--
		}, "mismatch Content-Length"},
		"a digest of another kind": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeExecutable).Digest = digest.SHA512.FromBytes(image("near"))
		}, "is not a SHA-256"},
		"a digest that is a path": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeExecutable).Digest = "sha256:../../../etc/passwd"
		}, "is not a SHA-256"},
		"two executables": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			m.Layers = append(m.Layers, *layer(m, MediaTypeExecutable))
		}, "two layers of the type " + MediaTypeExecutable},
		"a layer more": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip})
		}, "a layer of the type \"" + ocispec.MediaTypeImageLayerGzip},
		"no executable": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeExecutable).MediaType = MediaTypeSignature
			m.Layers = m.Layers[:2]
		}, "no layer of the type " + MediaTypeExecutable},
		"another kind of artefact": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			m.ArtifactType = "application/vnd.example"
		}, `its artifactType is "application/vnd.example"`},
		"an unsigned copy of the layers": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			m.Layers = m.Layers[:2]
		}, ""},
		"a title that is a path": {func(_ *fakeregistry.Registry, m *ocispec.Manifest) {
			layer(m, MediaTypeExecutable).Annotations = map[string]string{ocispec.AnnotationTitle: "../../../etc/cron.d/task"}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, source := registryOf(t, newKey(t, "acme"))
			_, text := r.Manifest("tasks/near", "v1")
			var m ocispec.Manifest
			testutil.Must(t, json.Unmarshal(text, &m))
			c.change(r, &m)
			text, err := json.Marshal(m)
			testutil.Must(t, err)
			r.PutManifest("tasks/near", "v1", fakeregistry.Digest(text), ocispec.MediaTypeImageManifest, text)
			if c.why != "" {
				refused(t, source, c.why)
				return
			}
			to := t.TempDir()
			path, err := open(t, source).Copy(to)
			testutil.Must(t, err)
			if filepath.Dir(path) != to {
				t.Errorf("installed as %s", path)
			}
		})
	}
}

func TestHostileManifestsOfARegistryAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		mediaType string
		content   string
		digest    string
		why       string
	}{
		"not JSON":            {ocispec.MediaTypeImageManifest, "{", "", "not a package of a Task"},
		"too large":           {ocispec.MediaTypeImageManifest, strings.Repeat(" ", maxArtefact+1), "", "more than 65536"},
		"of another digest":   {ocispec.MediaTypeImageManifest, "{}", fakeregistry.Digest([]byte("[]")), "mismatched digest"},
		"of SHA-512":          {ocispec.MediaTypeImageManifest, "{}", string(digest.SHA512.FromString("{}")), "is not a SHA-256"},
		"for many machines":   {ocispec.MediaTypeImageIndex, "{}", "", "name the artefact for this machine's processor"},
		"with a member twice": {ocispec.MediaTypeImageManifest, `{"layers": [], "layers": []}`, "", "not a package of a Task"},
		"without its type":    {"", "{}", "", "Content-Type"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fakeregistry.New()
			defer r.Close()
			if c.digest == "" {
				c.digest = fakeregistry.Digest([]byte(c.content))
			}
			r.PutManifest("tasks/near", "v1", c.digest, c.mediaType, []byte(c.content))
			refused(t, Scheme+r.Address+"/tasks/near:v1", c.why)
		})
	}
}

func TestReferencesThatAreRefused(t *testing.T) {
	r, _ := registryOf(t, newKey(t, "acme"))
	for reference, why := range map[string]string{
		"":                               "invalid",
		"near":                           "invalid",
		r.Address + "/tasks/near":        "a tag or a digest is missing",
		r.Address + "/tasks/near:":       "a tag or a digest is missing",
		r.Address + "/../near:v1":        "invalid",
		r.Address + "/tasks/near@v1":     "invalid",
		r.Address + "/tasks/near:other":  "not found",
		r.Address + "/tasks/near:v1/../": "invalid",
		r.Address + "/tasks/near@" + fakeregistry.Digest(nil): "not found",
	} {
		refused(t, Scheme+reference, why)
	}
}

// TestARegistryThatWantsALogin gets it from the named file, and from nowhere else.
func TestARegistryThatWantsALogin(t *testing.T) {
	r := fakeregistry.New()
	defer r.Close()
	r.Password = "secret"
	reference := r.Address + "/tasks/near:v1"
	logins := filepath.Join(t.TempDir(), "config.json")
	auth := base64.StdEncoding.EncodeToString([]byte("reader:secret"))
	testutil.Must(t, os.WriteFile(logins, fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, r.Address, auth), 0o600))
	access := Access{Config: logins}
	_, err := open(t, lay(t, "near")).Push(context.Background(), Scheme+reference, access)
	testutil.Must(t, err)
	p, err := Open(context.Background(), Scheme+reference, access)
	testutil.Must(t, err)
	defer p.Close()
	refused(t, Scheme+reference, "credential not found")
}

// TestOnlyLoopbackGoesWithoutTLS: any other registry is asked with TLS.
func TestOnlyLoopbackGoesWithoutTLS(t *testing.T) {
	for address, plain := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "127.9.9.9": true, "[::1]:5000": true,
		"registry.example": false, "localhost.example:5000": false, "10.0.0.1:5000": false, "127.0.0.1.example": false,
	} {
		r, err := Access{}.repository(address + "/tasks/near:v1")
		if err != nil || r.PlainHTTP != plain {
			t.Errorf("%s: without TLS %v (%v), want %v", address, r != nil && r.PlainHTTP, err, plain)
		}
	}
}

// TestAnInterruptedFetchEnds, and leaves no file.
func TestAnInterruptedFetchEnds(t *testing.T) {
	_, source := registryOf(t, newKey(t, "acme"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if p, err := Open(ctx, source, Access{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v; want context.Canceled", p, err)
	}
}

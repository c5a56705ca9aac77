package taskpkg

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
)

// Push stores the package in a registry, and tags it. It returns the source to install it from, with
// the digest. The same package has the same digest each time.
func (p *Package) Push(ctx context.Context, reference string, access Access) (source string, err error) {
	reference, ok := strings.CutPrefix(reference, Scheme)
	if !ok {
		return "", fmt.Errorf("a reference of a registry begins with %s", Scheme)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	r, err := access.repository(reference)
	if err != nil {
		return "", err
	}
	if err := r.Reference.ValidateReferenceAsTag(); err != nil {
		return "", fmt.Errorf("a package is pushed to a tag: %w", err)
	}
	executable := ocispec.Descriptor{MediaType: MediaTypeExecutable, Size: p.Size,
		Digest: digest.NewDigestFromBytes(digest.SHA256, p.Row.Measurement[:])}
	manifest := content.NewDescriptorFromBytes(MediaTypeManifest, p.manifest)
	layers := []ocispec.Descriptor{manifest, executable}
	if err := pushPart(ctx, r, manifest, bytes.NewReader(p.manifest)); err != nil {
		return "", err
	}
	if err := pushPart(ctx, r, executable, p.reader()); err != nil {
		return "", err
	}
	if p.Signature != nil {
		signature := content.NewDescriptorFromBytes(MediaTypeSignature, p.Signature)
		if err := pushPart(ctx, r, signature, bytes.NewReader(p.Signature)); err != nil {
			return "", err
		}
		layers = append(layers, signature)
	}
	pushed, err := oras.PackManifest(ctx, r, oras.PackManifestVersion1_1, ArtefactType, oras.PackManifestOptions{Layers: layers,
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: notDated}})
	if err != nil {
		return "", err
	}
	if err := r.Tag(ctx, pushed, r.Reference.Reference); err != nil {
		return "", err
	}
	return pinned(r.Reference, pushed), nil
}

// notDated stands in the place of a date, so that the same package has the same digest.
const notDated = "1970-01-01T00:00:00Z"

// pushPart stores a part, unless the registry has it.
func pushPart(ctx context.Context, r *remote.Repository, d ocispec.Descriptor, part io.Reader) error {
	has, err := r.Exists(ctx, d)
	if err != nil || has {
		return err
	}
	return r.Push(ctx, d, part)
}

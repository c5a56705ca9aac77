package taskpkg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"

	"motte/host/sandbox"
	"motte/taskpkg/manifest"
)

// Scheme begins a source that is an OCI reference.
const Scheme = "oci://"

// Media types of a package as an OCI artefact: an image manifest with one layer for each part.
const (
	ArtefactType        = "application/vnd.motte.task.v1"
	MediaTypeManifest   = "application/vnd.motte.task.manifest.v1+json"
	MediaTypeExecutable = "application/vnd.motte.task.executable.v1"
	MediaTypeSignature  = "application/vnd.motte.task.signature.v1"
)

// Limits of a registry's answers.
const (
	maxArtefact  = 64 << 10 // bytes of an OCI manifest
	answerWithin = 30 * time.Second
	fetchWithin  = 15 * time.Minute
)

// ErrArtefact says that an OCI artefact is not a package.
var ErrArtefact = errors.New("not a package of a Task")

// Access is how to reach a registry.
type Access struct {
	Config string // file with the logins of registries, in the format of Docker; "": none
}

// openArtefact reads a package from a registry.
func openArtefact(ctx context.Context, reference string, access Access) (*Package, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	repository, err := access.repository(reference)
	if err != nil {
		return nil, err
	}
	found, err := repository.Resolve(ctx, repository.Reference.Reference)
	if err != nil {
		return nil, err
	}
	layers, err := fetchLayers(ctx, repository, found)
	if err != nil {
		return nil, err
	}
	// From here on every part is named by its digest. A tag that moves changes nothing.
	from := parts{}
	if from.manifest, err = fetchSmall(ctx, repository, layers[MediaTypeManifest], manifest.MaxSize); err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	if layer, signed := layers[MediaTypeSignature]; signed {
		if from.signature, err = fetchSmall(ctx, repository, layer, maxSignature); err != nil {
			return nil, fmt.Errorf("the signature: %w", err)
		}
	}
	executable := layers[MediaTypeExecutable]
	body, err := fetchLarge(ctx, repository, executable)
	if err != nil {
		return nil, fmt.Errorf("the executable: %w", err)
	}
	defer body.Close()
	from.executable = verifiedReader{content.NewVerifyReader(body, executable)}
	return take(from, pinned(repository.Reference, found))
}

// pinned returns the source of an artefact, with its digest in the place of a tag.
func pinned(r registry.Reference, d ocispec.Descriptor) string {
	return fmt.Sprintf("%s%s/%s@%s", Scheme, r.Registry, r.Repository, d.Digest)
}

// verifiedReader ends with an error, in the place of io.EOF, if the content is not that of the
// digest.
type verifiedReader struct{ *content.VerifyReader }

// Read implements io.Reader.
func (r verifiedReader) Read(p []byte) (int, error) {
	n, err := r.VerifyReader.Read(p)
	if errors.Is(err, io.EOF) {
		if wrong := r.Verify(); wrong != nil {
			err = wrong
		}
	}
	return n, err
}

// repository returns the repository of a reference, which must have a tag or a digest.
func (a Access) repository(reference string) (*remote.Repository, error) {
	r, err := remote.NewRepository(reference)
	if err != nil {
		return nil, err
	}
	if r.Reference.Reference == "" {
		return nil, fmt.Errorf("%w: a tag or a digest is missing: %s:TAG", ErrArtefact, reference)
	}
	r.PlainHTTP = onThisMachine(r.Reference)
	r.ManifestMediaTypes = []string{ocispec.MediaTypeImageManifest}
	r.MaxMetadataBytes = maxArtefact
	client := &auth.Client{Client: httpClient(), Cache: auth.NewCache()}
	client.SetUserAgent("motte")
	if a.Config != "" {
		logins, err := credentials.NewFileStore(a.Config)
		if err != nil {
			return nil, fmt.Errorf("the logins of registries: %w", err)
		}
		client.Credential = credentials.Credential(logins)
	}
	r.Client = client
	return r, nil
}

// onThisMachine reports whether a registry is reached by the loopback interface. Such a registry is
// asked without TLS; any other one with TLS.
func onThisMachine(r registry.Reference) bool {
	name, _, err := net.SplitHostPort(r.Registry)
	if err != nil {
		name = r.Registry
	}
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// httpClient is a client that gives up on a registry that does not answer.
func httpClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = answerWithin
	t.DisableCompression = true // a digest is of the bytes as they are sent
	return &http.Client{Transport: retry.NewTransport(t)}
}

// fetchLayers reads the OCI manifest, and returns its layers by media type. There is an executable
// and a manifest, perhaps a signature, and nothing else.
func fetchLayers(ctx context.Context, from content.Fetcher, d ocispec.Descriptor) (map[string]ocispec.Descriptor, error) {
	if d.MediaType != ocispec.MediaTypeImageManifest {
		return nil, fmt.Errorf("%w: it is of the type %.100q; name the artefact for this machine's processor by its digest", ErrArtefact, d.MediaType)
	}
	text, err := fetchSmall(ctx, from, d, maxArtefact)
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArtefact, err)
	}
	if m.ArtifactType != ArtefactType {
		return nil, fmt.Errorf("%w: its artifactType is %.100q, not %s", ErrArtefact, m.ArtifactType, ArtefactType)
	}
	layers := make(map[string]ocispec.Descriptor)
	for _, layer := range m.Layers {
		switch layer.MediaType {
		case MediaTypeManifest, MediaTypeExecutable, MediaTypeSignature:
		default:
			return nil, fmt.Errorf("%w: it has a layer of the type %.100q", ErrArtefact, layer.MediaType)
		}
		if _, twice := layers[layer.MediaType]; twice {
			return nil, fmt.Errorf("%w: it has two layers of the type %s", ErrArtefact, layer.MediaType)
		}
		layers[layer.MediaType] = layer
	}
	for _, needed := range []string{MediaTypeManifest, MediaTypeExecutable} {
		if _, ok := layers[needed]; !ok {
			return nil, fmt.Errorf("%w: it has no layer of the type %s", ErrArtefact, needed)
		}
	}
	return layers, nil
}

// checkDescriptor refuses a part that is too large, or has no SHA-256, before it is fetched.
func checkDescriptor(d ocispec.Descriptor, limit int64) error {
	if d.Size < 0 || d.Size > limit {
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrArtefact, d.Size, limit)
	}
	if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%w: its digest is not a SHA-256", ErrArtefact)
	}
	return nil
}

// fetchSmall fetches a part into memory, and checks it against its digest.
func fetchSmall(ctx context.Context, from content.Fetcher, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := checkDescriptor(d, limit); err != nil {
		return nil, err
	}
	return content.FetchAll(ctx, from, d)
}

// fetchLarge begins to fetch the executable. Its digest is not checked yet.
func fetchLarge(ctx context.Context, from content.Fetcher, d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := checkDescriptor(d, sandbox.MaxExecutable); err != nil {
		return nil, err
	}
	return from.Fetch(ctx, d)
}

// Package fakeregistry is a registry of OCI artefacts for tests, in memory and on loopback. It has
// the part of the OCI distribution specification that a push and a pull need. It checks nothing:
// a test can store contents that do not have their digests.
package fakeregistry

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
)

// maxUpload bounds one upload, in bytes.
const maxUpload = 64 << 20

// Registry is a registry that serves until Close is called.
type Registry struct {
	Address  string // host:port
	Password string // of the user "reader"; "": everybody may read and write. Set it before the first request

	server *httptest.Server

	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte // by digest
	types     map[string]string // media type of a manifest, by digest
	tags      map[string]string // digest, by "repository:tag"
	asked     []string          // "METHOD PATH" of each request
}

// New starts an empty registry.
func New() *Registry {
	r := &Registry{blobs: make(map[string][]byte), manifests: make(map[string][]byte),
		types: make(map[string]string), tags: make(map[string]string)}
	r.server = httptest.NewServer(r)
	r.Address = r.server.Listener.Addr().String()
	return r
}

// Close ends the registry.
func (r *Registry) Close() { r.server.Close() }

// Digest is the digest of a content.
func Digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// PutBlob stores a content under a digest, which need not be its own.
func (r *Registry) PutBlob(digest string, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[digest] = content
}

// PutManifest stores a manifest under a digest, which need not be its own, and a tag.
func (r *Registry) PutManifest(repository, tag, digest, mediaType string, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests[digest], r.types[digest] = content, mediaType
	r.tags[repository+":"+tag] = digest
}

// Manifest returns the manifest of a tag.
func (r *Registry) Manifest(repository, tag string) (digest string, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	digest = r.tags[repository+":"+tag]
	return digest, r.manifests[digest]
}

// Requests returns the requests so far, each as "METHOD PATH".
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, q.Method+" "+q.URL.Path)
	if user, password, _ := q.BasicAuth(); r.Password != "" && (user != "reader" || password != r.Password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path := strings.TrimPrefix(q.URL.Path, "/v2/")
	if repository, upload, ok := strings.Cut(path, "/blobs/uploads/"); ok {
		r.upload(w, q, repository, upload)
	} else if _, digest, ok := strings.Cut(path, "/blobs/"); ok {
		content, known := r.blobs[digest]
		answer(w, q, known, "application/octet-stream", digest, content)
	} else if repository, reference, ok := strings.Cut(path, "/manifests/"); ok {
		r.manifest(w, q, repository, reference)
	} else {
		w.WriteHeader(http.StatusNotFound)
	}
}

// upload takes a blob in two requests: POST for a place, then PUT with the content.
func (r *Registry) upload(w http.ResponseWriter, q *http.Request, repository, upload string) {
	if q.Method == http.MethodPost {
		w.Header().Set("Location", "/v2/"+repository+"/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
		return
	}
	content, err := io.ReadAll(io.LimitReader(q.Body, maxUpload))
	if err != nil || q.Method != http.MethodPut || upload == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.blobs[q.URL.Query().Get("digest")] = content
	w.WriteHeader(http.StatusCreated)
}

func (r *Registry) manifest(w http.ResponseWriter, q *http.Request, repository, reference string) {
	if q.Method == http.MethodPut {
		content, err := io.ReadAll(io.LimitReader(q.Body, maxUpload))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		digest := Digest(content)
		r.manifests[digest], r.types[digest] = content, q.Header.Get("Content-Type")
		r.tags[repository+":"+reference] = digest
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
		return
	}
	digest := reference
	if tagged, ok := r.tags[repository+":"+reference]; ok {
		digest = tagged
	}
	content, known := r.manifests[digest]
	answer(w, q, known, r.types[digest], digest, content)
}

// answer answers a GET or HEAD.
func answer(w http.ResponseWriter, q *http.Request, known bool, mediaType, digest string, content []byte) {
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if q.Method != http.MethodHead {
		_, _ = w.Write(content)
	}
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif" // the formats that image.Decode knows
	_ "image/jpeg"
	_ "image/png"
	"runtime"

	"github.com/corona10/goimagehash"
	_ "golang.org/x/image/webp"
)

// Limits of a picture. A small file can declare a huge picture, which its decoder would then allocate.
const (
	// maxPixels bounds the memory: a decoder takes up to 16 bytes for a pixel.
	maxPixels = 1 << 25

	// A picture may have freePixels, and pixelsPerByte more for each byte of its file. That is as much as
	// PNG can compress a pixel of a byte. It bounds the time for many small files at once.
	freePixels    = 1 << 16
	pixelsPerByte = 1000

	// largePicture is a number of pixels. The memory of a larger picture is freed before the next.
	largePicture = 1 << 22
)

var (
	errFormat  = errors.New("not a picture of a known format")
	errPicture = errors.New("a picture that is damaged or too large")
)

// hash is a perceptual hash: similar pictures have hashes that differ in few bits.
type hash uint64

// hashOf returns the hash of a picture, the first one of an animation. It is errFormat if the file does not begin
// like a picture.
//
// A panic of a decoder becomes an error: a decoder changes nothing of the index.
func hashOf(file []byte) (h hash, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPicture, p)
		}
	}()
	c, _, err := image.DecodeConfig(bytes.NewReader(file))
	if errors.Is(err, image.ErrFormat) {
		return 0, errFormat
	}
	if err != nil || !fits(c.Width, c.Height, len(file)) {
		return 0, errPicture
	}
	if c.Width*c.Height > largePicture {
		defer runtime.GC()
	}
	m, _, err := image.Decode(bytes.NewReader(file))
	if err != nil || !fits(m.Bounds().Dx(), m.Bounds().Dy(), len(file)) {
		return 0, errPicture
	}
	p, err := goimagehash.PerceptionHash(atOrigin(m))
	if err != nil {
		return 0, errPicture
	}
	return hash(p.GetHash()), nil
}

// fits reports whether a picture is within the limits.
func fits(width, height, bytes int) bool {
	if width < 1 || height < 1 || width > maxPixels || height > maxPixels {
		return false
	}
	pixels := width * height
	return pixels <= maxPixels && pixels <= freePixels+pixelsPerByte*bytes
}

// atOrigin returns a picture whose first pixel is at (0, 0). The library does not expect another place,
// which the first picture of an animation may have.
func atOrigin(m image.Image) image.Image {
	b := m.Bounds()
	if b.Min == (image.Point{}) {
		return m
	}
	moved := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(moved, moved.Bounds(), m, b.Min, draw.Src)
	return moved
}

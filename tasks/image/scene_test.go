package main

import (
	"bytes"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"

	"motte/internal/testutil"
)

// scene draws a picture: some discs before a gradient. The seed determines it, in each size.
func scene(seed uint64, width, height int) *image.RGBA {
	r := rand.New(rand.NewPCG(seed, 1))
	type disc struct{ x, y, radius, red, green, blue float64 }
	discs := make([]disc, 8)
	for i := range discs {
		discs[i] = disc{r.Float64(), r.Float64(), 0.05 + r.Float64()/4, r.Float64(), r.Float64(), r.Float64()}
	}
	slope, shade := r.Float64()*2-1, r.Float64()/2
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for py := range height {
		for px := range width {
			x, y := (float64(px)+0.5)/float64(width), (float64(py)+0.5)/float64(height)
			level := math.Abs(shade + slope*x*y)
			c := [3]float64{level, level, level}
			for _, d := range discs {
				if math.Hypot(x-d.x, y-d.y) < d.radius {
					c = [3]float64{d.red, d.green, d.blue}
				}
			}
			m.SetRGBA(px, py, color.RGBA{uint8(255 * min(1, c[0])), uint8(255 * min(1, c[1])), uint8(255 * min(1, c[2])), 255})
		}
	}
	return m
}

func asPNG(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var w bytes.Buffer
	testutil.Must(tb, png.Encode(&w, m))
	return w.Bytes()
}

func asJPEG(tb testing.TB, m image.Image, quality int) []byte {
	tb.Helper()
	var w bytes.Buffer
	testutil.Must(tb, jpeg.Encode(&w, m, &jpeg.Options{Quality: quality}))
	return w.Bytes()
}

// asGIF returns an animation of pictures.
func asGIF(tb testing.TB, pictures ...image.Image) []byte {
	tb.Helper()
	var g gif.GIF
	for _, m := range pictures {
		p := image.NewPaletted(m.Bounds(), palette.Plan9)
		draw.FloydSteinberg.Draw(p, m.Bounds(), m, m.Bounds().Min)
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 10)
	}
	g.Config.Width, g.Config.Height = pictures[0].Bounds().Max.X, pictures[0].Bounds().Max.Y
	var w bytes.Buffer
	testutil.Must(tb, gif.EncodeAll(&w, &g))
	return w.Bytes()
}

// hashed returns the hash of a file, and fails if it has none.
func hashed(tb testing.TB, file []byte) hash {
	tb.Helper()
	h, err := hashOf(file)
	testutil.Must(tb, err)
	return h
}

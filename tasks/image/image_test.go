package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"os"
	"strings"
	"testing"

	"motte/core/model"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestTheSamePictureIsFound: in another size, format and quality, and with another frame behind it.
func TestTheSamePictureIsFound(t *testing.T) {
	read := func(name string) []byte {
		file, err := os.ReadFile("testdata/" + name)
		testutil.Must(t, err)
		return file
	}
	moved := image.NewRGBA(image.Rect(7, 5, 71, 69)) // a picture of the size to which the library brings others
	for y := range 64 {
		for x := range 64 {
			moved.Set(7+x, 5+y, scene(1, 64, 64).At(x, y))
		}
	}
	paletted := asGIF(t, scene(1, 120, 90), scene(2, 120, 90))
	x := &index{}
	testutil.Must(t, x.Configure(sdk.Config{}))
	for n := range 20 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: asPNG(t, scene(uint64(n), 120, 90))}})
	}
	for name, file := range map[string][]byte{
		"large PNG":           asPNG(t, scene(1, 450, 350)),
		"small PNG":           asPNG(t, scene(1, 40, 30)),
		"JPEG":                asJPEG(t, scene(1, 300, 200), 40),
		"small JPEG":          asJPEG(t, scene(1, 64, 64), 70),
		"animated GIF":        paletted,
		"GIF not at (0, 0)":   asGIF(t, moved),
		"lossy WebP":          read("scene.webp"),
		"small lossless WebP": read("lossless.webp"),
	} {
		p := fmt.Sprintf("similar %q", base64.StdEncoding.EncodeToString(file))
		found, more, err := sdktest.Page(x, sdk.Query{Predicate: []byte(p), Limit: 10})
		if err != nil || more || len(found) != 1 || found[0] != sdktest.ID(1) {
			t.Errorf("%s: %d pictures are found (%v), want the one with the number 1", name, len(found), err)
		}
	}
	if d := hashed(t, read("alpha.webp")).distance(hashed(t, asPNG(t, withBar(scene(3, 60, 60))))); d > 4 {
		t.Errorf("a WebP with transparency differs in %d bits from its PNG, want 4 at most", d)
	}
}

// withBar makes the left tenth of a picture transparent.
func withBar(m *image.RGBA) image.Image {
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() / 10 {
			m.SetRGBA(x, y, color.RGBA{})
		}
	}
	return m
}

// declared returns a PNG file that declares a size, and has no pixels.
func declared(width, height uint32, padding int) []byte {
	w := bytes.NewBufferString("\x89PNG\r\n\x1a\n")
	chunk := func(name string, data []byte) {
		body := append([]byte(name), data...)
		w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		w.Write(body)
		w.Write(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body)))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	chunk("IHDR", append(head, 1, 0, 0, 0, 0))
	chunk("tEXt", make([]byte, padding))
	chunk("IEND", nil)
	return w.Bytes()
}

// TestHugePicturesAreNotDecoded: a picture over a limit is refused by its declared size.
func TestHugePicturesAreNotDecoded(t *testing.T) {
	for _, c := range []struct {
		width, height, bytes int
		fits                 bool
	}{
		{1, 1, 0, true}, {0, 1, 1 << 20, false}, {1, -1, 1 << 20, false},
		{256, 256, 0, true}, {256, 257, 0, false}, {256, 257, 1, true},
		{8192, 4096, 1 << 20, true}, {8192, 4097, 1 << 20, false}, {1 << 25, 1, 1 << 20, true}, {1<<25 + 1, 1, 1 << 20, false},
		{1 << 30, 1 << 30, 1 << 20, false}, {1 << 32, 1 << 32, 1 << 20, false},
	} {
		if got := fits(c.width, c.height, c.bytes); got != c.fits {
			t.Errorf("a picture of %d × %d pixels in %d bytes fits: %v, want %v", c.width, c.height, c.bytes, got, c.fits)
		}
	}
	for _, file := range [][]byte{declared(60_000, 60_000, 10_000), declared(1<<31-1, 1<<31-1, 10), declared(1000, 1000, 100)} {
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := hashOf(file); !errors.Is(err, errPicture) {
				t.Errorf("a file that declares a huge picture gives %v, want that it is refused", err)
			}
		})
		if allocated > 100 {
			t.Errorf("a file that declares a huge picture takes %v allocations", allocated)
		}
	}
}

// TestInputsThatAreRefused: and those without a picture are no error.
func TestInputsThatAreRefused(t *testing.T) {
	file := string(asPNG(t, scene(1, 20, 20)))
	encoded := base64.StdEncoding.EncodeToString([]byte(file))
	inJSON := func(s string) string { return `{"a":"` + s + `"}` }
	for _, c := range []struct {
		options                   string
		indexed, skipped, refused []string
	}{
		{`{}`, []string{file, file + "behind it"}, []string{"", "text", "\xff", "GIF", "%PDF-1.5"}, []string{file[:100], "\xff\xd8\xff", "GIF89a", "RIFF\x10\x00\x00\x00WEBPVP8 "}},
		{`{"path":"/a"}`, []string{inJSON(encoded), inJSON(strings.ReplaceAll(encoded, "/", `\/`))}, []string{"", "{}", `{"a":null}`, file}, []string{
			inJSON(""), inJSON("AAAA"), inJSON(encoded[:len(encoded)-4]), inJSON(encoded[1:]), inJSON(encoded + `\n`), inJSON(encoded[:4] + `\r\n` + encoded[4:]),
			`{"a":[]}`, `{"a":7}`, `{"a":"` + encoded + `","a":null}`}},
	} {
		x := &index{}
		core := sdktest.Start(t, x, sdk.Config{Ordered: true, Options: []byte(c.options)})
		for n, in := range c.indexed {
			if !core.Insert(sdktest.ID(n), in) || len(x.objects) != 1 {
				t.Errorf("%s: %.40q is not indexed", c.options, in)
			}
			core.Remove(sdktest.ID(n))
		}
		for n, in := range c.skipped {
			if !core.Insert(sdktest.ID(n), in) || len(x.objects) != 0 {
				t.Errorf("%s: %.40q is refused or indexed, want that it has no picture", c.options, in)
			}
		}
		for n, in := range c.refused {
			if core.Insert(sdktest.ID(n), in) || len(x.objects) != 0 {
				t.Errorf("%s: %.40q is not refused", c.options, in)
			}
		}
	}
	for _, c := range []sdk.Config{{Type: model.TypeInt64}, {Type: model.TypeTime}, {Options: []byte(`{"path":"a"}`)}, {Options: []byte(`{"width":1}`)}, {Options: []byte(`[]`)}} {
		if err := (&index{}).Configure(c); err == nil {
			t.Errorf("the configuration %q of type %d is accepted", c.Options, c.Type)
		}
	}
}

// FuzzPicture: no file makes a decoder panic past hashOf. A file has the same hash each time.
func FuzzPicture(f *testing.F) {
	for _, name := range []string{"scene.webp", "lossless.webp", "alpha.webp"} {
		file, err := os.ReadFile("testdata/" + name)
		testutil.Must(f, err)
		f.Add(file)
	}
	f.Add(asPNG(f, scene(1, 12, 12)))
	f.Add(asJPEG(f, scene(1, 12, 12), 50))
	f.Add(asGIF(f, scene(1, 12, 12), scene(2, 12, 12)))
	f.Add(declared(1000, 10, 10))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, err := hashOf(file)
		again, errAgain := hashOf(file)
		if h != again || (err == nil) != (errAgain == nil) || err != nil && !errors.Is(err, errFormat) && !errors.Is(err, errPicture) {
			t.Fatalf("the hash is %x (%v), and then %x (%v)", h, err, again, errAgain)
		}
	})
}

// FuzzPredicate: no predicate makes the parser panic, and each bound is within its limits.
func FuzzPredicate(f *testing.F) {
	picture := base64.StdEncoding.EncodeToString(asPNG(f, scene(1, 8, 8)))
	for _, s := range []string{"", "near p:0123456789abcdef", "NEAR p:0123456789ABCDEF within 64", `similar "` + picture + `" within 3`, `similar "\u0041"`, "near p:+123456789abcdef", "similar within"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if q, err := parse([]byte(s)); err == nil && (q.bound < 0 || q.bound > hashBits) {
			t.Fatalf("%q is accepted with the bound %d", s, q.bound)
		}
	})
}

// BenchmarkInsert measures a photo of 12 megapixels. BenchmarkSearch measures a search among a million.
func BenchmarkInsert(b *testing.B) {
	file := asJPEG(b, scene(1, 4000, 3000), 80)
	x := &index{}
	testutil.Must(b, x.Configure(sdk.Config{}))
	for b.Loop() {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: file}})
	}
	if len(x.objects) != 1 {
		b.Fatal("the photo is not indexed")
	}
}

func BenchmarkSearch(b *testing.B) {
	const count = 1_000_000
	x := &index{}
	testutil.Must(b, x.Configure(sdk.Config{}))
	for n := range count {
		data := binary.BigEndian.AppendUint64(nil, uint64(n)*0x9e3779b97f4a7c15)
		x.Restore(sdk.Entry{Identity: sdktest.ID(n), Owner: sdk.Owner(1 + n%1000), Data: data})
	}
	for name, owner := range map[string]sdk.Owner{"all": sdk.AllOwners, "owner of 1000": 1} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte("near p:0123456789abcdef"), Owner: owner, Limit: 10}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

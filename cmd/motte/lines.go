package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"motte/client"
)

// lines splits an input into lines. It keeps no more of a line than the longest allowed line
// has, so that no input can exhaust the memory.
//
// A line ends with "\n" or "\r\n", which do not belong to it. The last line may end with the
// input. A byte order mark at the beginning of the input is skipped.
type lines struct {
	r      *bufio.Reader
	max    int    // bytes of a line
	number int    // of the last line
	read   int64  // bytes of the input, including line ends and skipped bytes
	buf    []byte // of the last line
	begun  bool
}

// lineBuffer is the size of one read.
const lineBuffer = 64 << 10 // bytes

func newLines(r io.Reader, most int) *lines {
	return &lines{r: bufio.NewReaderSize(r, lineBuffer), max: most}
}

// longLineError says that a line is longer than allowed.
type longLineError struct {
	bytes int64
	max   int
}

func (e longLineError) Error() string {
	return fmt.Sprintf("the line has %d bytes, and the most is %d (%s)", e.bytes, e.max, size(uint64(e.max)))
}

func (e longLineError) Unwrap() error { return client.ErrTooLarge }

// next returns the next line, which is valid until the next call, or a longLineError. After the
// last line it returns io.EOF.
func (l *lines) next() ([]byte, error) {
	if !l.begun {
		l.begun = true
		if err := l.begin(); err != nil {
			return nil, err
		}
	}
	const end = len("\r\n")
	l.buf = l.buf[:0]
	length := int64(0)
	for {
		part, err := l.r.ReadSlice('\n')
		length += int64(len(part))
		if length <= int64(l.max+end) {
			l.buf = append(l.buf, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		l.read += length
		if err != nil && (length == 0 || !errors.Is(err, io.EOF)) {
			return nil, err
		}
		break
	}
	l.number++
	if length > int64(l.max+end) {
		return nil, longLineError{length, l.max}
	}
	line := l.buf
	if whole, ok := bytes.CutSuffix(line, []byte("\n")); ok {
		line = bytes.TrimSuffix(whole, []byte("\r"))
	}
	if len(line) > l.max {
		return nil, longLineError{int64(len(line)), l.max}
	}
	return line, nil
}

// signatures are the first bytes of files that are not text in UTF-8.
var signatures = []struct{ begin, what, remedy string }{
	{"\x1f\x8b", "compressed with gzip", "gunzip -c"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -dc"},
	{"\xfd7zXZ\x00", "compressed with xz", "xz -dc"},
	{"BZh", "compressed with bzip2", "bunzip2 -c"},
	{"\x04\x22\x4d\x18", "compressed with lz4", "lz4 -dc"},
	{"PK\x03\x04", "a zip archive", "unzip -p"},
	{"\xff\xfe", "text in UTF-16", "iconv -f UTF-16 -t UTF-8"},
	{"\xfe\xff", "text in UTF-16", "iconv -f UTF-16 -t UTF-8"},
	{"{\x00", "text in UTF-16", "iconv -f UTF-16LE -t UTF-8"},
	{"\x00{", "text in UTF-16", "iconv -f UTF-16BE -t UTF-8"},
}

// foreignError says that an input does not hold lines of text.
type foreignError struct{ what, remedy string }

func (e foreignError) Error() string {
	return fmt.Sprintf("the input is %s, no lines of JSON: pass it through '%s', and import - (standard input)", e.what, e.remedy)
}

// The first header of a tar archive has the format's name after the name of a file.
const (
	tarName   = "ustar"
	tarOffset = 257
)

// begin skips a byte order mark, and detects an input that can't hold lines.
func (l *lines) begin() error {
	start, err := l.r.Peek(tarOffset + len(tarName)) // fewer bytes if the input is short
	if err != nil && len(start) == 0 {
		return err
	}
	if bytes.HasPrefix(start, []byte(byteOrderMark)) {
		n, err := l.r.Discard(len(byteOrderMark))
		l.read += int64(n)
		return err
	}
	for _, s := range signatures {
		if bytes.HasPrefix(start, []byte(s.begin)) {
			return foreignError{s.what, s.remedy}
		}
	}
	if len(start) > tarOffset && bytes.HasPrefix(start[tarOffset:], []byte(tarName)) && start[tarOffset-1] == 0 {
		return foreignError{"a tar archive", "tar -xO"}
	}
	return nil
}

// input reads a file, until a context ends. A plain read of a pipe or a terminal can't be
// interrupted.
type input struct {
	ctx  context.Context
	file *os.File
}

// Read implements io.Reader.
func (i input) Read(p []byte) (int, error) {
	if err := awaitInput(i.ctx, i.file); err != nil {
		return 0, err
	}
	return i.file.Read(p)
}

// awaitInput waits until a file can be read, or the context ends.
func awaitInput(ctx context.Context, f *os.File) error {
	for ctx.Err() == nil { // poll ends now and then, to check the context
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, int(lookEvery.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for input: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
	return context.Cause(ctx)
}

// openInput opens a file to be read with awaitInput, or standard input for "-". Opening a
// FIFO does not wait for a writer.
func (a *app) openInput(path string) (*os.File, error) {
	if path == "-" {
		return a.open(path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: name a file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
